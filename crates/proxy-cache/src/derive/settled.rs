//! Coded forms of which it is known that nothing better will be made.
//!
//! What is asked for often is asked for again and again in its best form: to find out each time that
//! it is the best one would cost more than to send it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::store::Stored;

/// Forms that are remembered. Two that fall on one place push each other out, and are then looked
/// at each time.
const PLACES: usize = 4096;

/// Remembers forms by a number that is theirs alone.
pub(super) struct Settled(Box<[AtomicU64]>);

impl Default for Settled {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Settled {
    pub(super) fn has(&self, form: &Arc<Stored>) -> bool {
        let number = number(form);
        self.place(number).load(Ordering::Relaxed) == number
    }

    pub(super) fn add(&self, form: &Arc<Stored>) {
        let number = number(form);
        self.place(number).store(number, Ordering::Relaxed);
    }

    fn place(&self, number: u64) -> &AtomicU64 {
        &self.0[(number >> 40) as usize % PLACES]
    }
}

/// Of where it lies, how long it is and when the response that it was made of has come: what comes
/// to lie in the same place later differs in the last.
fn number(form: &Arc<Stored>) -> u64 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let came = form.head.lifetime.response_time;
    let came = came.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let parts = [Arc::as_ptr(form).addr() as u64, form.body.len(), came.as_secs()];
    let whole = parts
        .into_iter()
        .fold(u64::from(came.subsec_nanos()), |sum, part| (sum ^ part).wrapping_mul(ODD));
    // 0 stands for an empty place.
    whole | 1
}
