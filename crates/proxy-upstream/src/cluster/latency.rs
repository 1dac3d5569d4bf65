//! How long an endpoint takes to answer: a moving mean that keeps peaks for a while.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// In this time a peak has lost two thirds of its weight.
const DECAY: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Latency(Mutex<Option<Mean>>);

#[derive(Clone, Copy, Debug)]
struct Mean {
    seconds: f64,
    at: Instant,
}

impl Latency {
    /// A new measurement: a longer one counts at once, a shorter one little by little.
    pub(super) fn observe(&self, latency: Duration, now: Instant) {
        let mut mean = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = latency.as_secs_f64();
        let seconds = match *mean {
            Some(old) if new < old.seconds => {
                let past = now.saturating_duration_since(old.at).as_secs_f64();
                let keep = (-past / DECAY.as_secs_f64()).exp();
                old.seconds * keep + new * (1.0 - keep)
            }
            _ => new,
        };
        *mean = Some(Mean { seconds, at: now });
    }

    pub(super) fn get(&self) -> Option<Duration> {
        let mean = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mean.map(|mean| Duration::from_secs_f64(mean.seconds.clamp(0.0, 1e6)))
    }

    /// It comes back: what was is of no concern.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_count_at_once_and_fade() {
        let (latency, start) = (Latency::default(), Instant::now());
        let millis = |n| Duration::from_millis(n);
        assert_eq!(latency.get(), None);
        latency.observe(millis(10), start);
        latency.observe(millis(500), start);
        assert_eq!(latency.get(), Some(millis(500)));
        latency.observe(millis(10), start + DECAY);
        let faded = latency.get().expect("known");
        assert!(faded > millis(150) && faded < millis(250), "{faded:?}");
        latency.observe(millis(10), start + DECAY * 20);
        assert!(latency.get().expect("known") < millis(11));
    }
}
