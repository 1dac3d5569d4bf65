//! What the medium failed, and whether to leave it alone for a while.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures of the medium.
pub(super) struct Health {
    faults: AtomicU64,
    first_pause: Duration,
    pause: Mutex<Option<Pause>>,
}

struct Pause {
    until: Instant,
    length: Duration,
}

/// The longest pause, as a multiple of the first one.
const LONGEST: u32 = 64;

impl Health {
    pub(super) fn new(first_pause: Duration) -> Self {
        Self { faults: AtomicU64::new(0), first_pause, pause: Mutex::new(None) }
    }

    pub(super) fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// Whether writing is worth a try. After a pause it is, for everyone, until it fails again.
    pub(super) fn may_write(&self, now: Instant) -> bool {
        let pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        pause.as_ref().is_none_or(|pause| now >= pause.until)
    }

    /// Something was not read, or what was read is not what was written.
    pub(super) fn read_failed(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    /// Something was not written: the disk may be full or gone. Each failure after a pause makes
    /// the next one twice as long.
    pub(super) fn write_failed(&self, now: Instant, error: &io::Error) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        let length = match &*pause {
            // Failures of writers that began together are one.
            Some(pause) if now < pause.until => return,
            Some(pause) => (pause.length * 2).min(self.first_pause * LONGEST),
            None => self.first_pause,
        };
        tracing::warn!(%error, pause = ?length, "the disk store can not write; it pauses");
        *pause = Some(Pause { until: now + length, length });
    }

    /// Something was written to its end.
    pub(super) fn write_succeeded(&self, now: Instant) {
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        if pause.as_ref().is_some_and(|pause| now >= pause.until) {
            tracing::info!("the disk store can write again");
            *pause = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end_with_a_success() {
        let second = Duration::from_secs(1);
        let health = Health::new(second);
        let error = io::Error::from(io::ErrorKind::StorageFull);
        let mut now = Instant::now();
        assert!(health.may_write(now));
        for pause in [1, 2, 4, 8, 16, 32, 64, 64] {
            health.write_failed(now, &error);
            health.write_failed(now + second / 2, &error);
            health.write_succeeded(now + second / 2);
            assert!(!health.may_write(now + second * pause - second / 4), "{pause}");
            now += second * pause;
            assert!(health.may_write(now), "{pause}");
        }
        health.write_succeeded(now);
        health.write_failed(now, &error);
        assert!(health.may_write(now + second));
        assert_eq!(health.faults(), 17);
    }
}
