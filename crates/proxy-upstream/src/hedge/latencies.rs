//! How long answers usually take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The answers that are remembered.
const KEPT: usize = 256;
/// Before there are so many nothing is usual.
const ENOUGH: usize = 32;
/// What is usual is found anew after so many.
const EVERY: usize = 16;

/// The last answers' times.
pub(super) struct Latencies {
    percentile: f64,
    last: Mutex<Last>,
    /// In microseconds; 0: nothing is known.
    usual: AtomicU64,
}

struct Last {
    micros: Vec<u32>,
    /// Those so far.
    count: usize,
}

impl Latencies {
    pub(super) fn new(percentile: f64) -> Self {
        let last = Mutex::new(Last { micros: Vec::new(), count: 0 });
        Self { percentile: percentile.clamp(0.0, 1.0), last, usual: AtomicU64::new(0) }
    }

    /// The time within which the share of answers came.
    pub(super) fn usual(&self) -> Option<Duration> {
        let micros = self.usual.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    pub(super) fn add(&self, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let place = last.count % KEPT;
        match last.micros.get_mut(place) {
            Some(kept) => *kept = micros,
            None => last.micros.push(micros),
        }
        last.count += 1;
        if last.count >= ENOUGH && last.count.is_multiple_of(EVERY) {
            let mut sorted = last.micros.clone();
            drop(last);
            let at = ((sorted.len() - 1) as f64 * self.percentile) as usize;
            let (_, own, _) = sorted.select_nth_unstable(at);
            self.usual.store(u64::from(*own).max(1), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_learnt_and_forgotten() {
        let latencies = Latencies::new(0.9);
        for n in 1..=31 {
            latencies.add(Duration::from_millis(n));
        }
        assert_eq!(latencies.usual(), None);
        latencies.add(Duration::from_millis(32));
        assert_eq!(latencies.usual(), Some(Duration::from_millis(28)));
        for _ in 0..KEPT {
            latencies.add(Duration::from_millis(5));
        }
        assert_eq!(latencies.usual(), Some(Duration::from_millis(5)));
    }
}
