//! Makes the exchange record of each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{ConnectionInfo, Exchange, InterimSink};
use crate::clock::Clock;

/// Makes exchanges with ids that are unique and do not tell how many there were before.
#[derive(Clone)]
pub struct Exchanges {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    seed: u64,
    next: AtomicU64,
    next_connection: AtomicU64,
}

impl Exchanges {
    /// `seed` should be random and differ from process to process.
    pub fn new(clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self {
            inner: Arc::new(Inner {
                clock,
                seed,
                next: AtomicU64::new(0),
                next_connection: AtomicU64::new(1),
            }),
        }
    }

    /// A number for a connection, unique in this process. From 1 on.
    pub fn next_connection(&self) -> u64 {
        self.inner.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// A new record.
    pub fn begin(
        &self,
        connection: &Arc<ConnectionInfo>,
        interim: Option<Arc<dyn InterimSink>>,
    ) -> Exchange {
        let n = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let high = mix(self.inner.seed ^ mix(n));
        let low = mix(n.wrapping_add(self.inner.seed.rotate_left(32)));
        let id = u128::from(high) << 64 | u128::from(low);
        let clock = &self.inner.clock;
        Exchange::new(id, Arc::clone(connection), clock.now(), clock.wall(), interim)
    }
}

impl std::fmt::Debug for Exchanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchanges").finish_non_exhaustive()
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a permutation, so ids never repeat.
const fn mix(n: u64) -> u64 {
    let z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
