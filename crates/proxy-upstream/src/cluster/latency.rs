//! How long an endpoint takes to answer: a moving mean that keeps peaks for a while.
//!
//! Every request reads it and writes it, so nothing is locked. Where two write at once one of them is
//! forgotten, be it a peak, or the other comes back that was just to be forgotten; and a reader may see
//! the time of another measurement than the mean. It is a guess about what comes anyway. Times are nanoseconds of the cluster, from 1 on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// In this time a peak has lost two thirds of its weight.
const DECAY: Duration = Duration::from_secs(10);

/// From this age on a mean says nothing.
const FORGOTTEN: Duration = Duration::from_secs(50);

/// Failures make an endpoint look so many times as slow as its answers are, at most: once it answers
/// again that is forgotten soon.
const WORST: f64 = 10.0;

/// What one that has never answered is taken for at most, in nanoseconds, however often it fails.
const NEVER_ANSWERED: f64 = 1e9;

/// What is left after so many nanoseconds of what is measured now.
fn decayed(nanos: u64) -> f64 {
    let past = nanos as f64 * (1.0 / DECAY.as_nanos() as f64);
    match past {
        // Most looks come soon after the last one: exact to a millionth, and cheaper.
        0.0..0.01 => 1.0 - past + past * past / 2.0,
        _ => (-past).exp(),
    }
}

#[derive(Debug, Default)]
pub(super) struct Latency {
    /// Of all that ended.
    all: Mean,
    /// Of answers alone.
    answers: Mean,
}

#[derive(Debug, Default)]
struct Mean {
    /// The bits of a number of nanoseconds.
    nanos: AtomicU64,
    /// When it was measured; 0: never.
    at: AtomicU64,
}

impl Mean {
    fn get(&self) -> Option<(f64, u64)> {
        match self.at.load(Ordering::Acquire) {
            0 => None,
            at => Some((f64::from_bits(self.nanos.load(Ordering::Relaxed)), at)),
        }
    }

    /// A new measurement: a longer one counts at once, a shorter one little by little.
    fn add(&self, new: f64, now: u64) {
        let nanos = match self.get() {
            Some((old, at)) if new < old => {
                let keep = decayed(now.saturating_sub(at));
                old * keep + new * (1.0 - keep)
            }
            _ => new,
        };
        self.nanos.store(nanos.to_bits(), Ordering::Relaxed);
        // Whoever sees a time sees a mean.
        self.at.store(now, Ordering::Release);
    }
}

impl Latency {
    /// An answer.
    pub(super) fn observe(&self, latency: Duration, now: u64) {
        let new = latency.as_nanos() as f64;
        self.all.add(new, now);
        self.answers.add(new, now);
    }

    /// A failure: who fails at once must not look fast, so each counts as twice the mean, within
    /// bounds.
    pub(super) fn failed(&self, took: Duration, now: u64) {
        let most = self.answers.get().map_or(NEVER_ANSWERED, |(mean, _)| mean * WORST);
        let twice = self.all.get().map_or(0.0, |(mean, _)| mean * 2.0);
        self.all.add((took.as_nanos() as f64).max(twice.min(most)), now);
    }

    /// What to expect now: it fades by age, so that who was slow once and gets nothing since is
    /// asked again. After [`FORGOTTEN`] nothing is known any more.
    pub(super) fn get(&self, now: u64) -> Option<Duration> {
        let (mean, at) = self.all.get()?;
        let age = now.saturating_sub(at);
        let is_known = u128::from(age) < FORGOTTEN.as_nanos();
        is_known.then(|| Duration::from_nanos((mean * decayed(age)) as u64))
    }

    /// The mean as of the last measurement, however long ago.
    pub(super) fn mean(&self) -> Option<Duration> {
        self.all.get().map(|(mean, _)| Duration::from_nanos(mean as u64))
    }

    /// It comes back: what was is of no concern.
    pub(super) fn forget(&self) {
        self.all.at.store(0, Ordering::Relaxed);
        self.answers.at.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `DECAY`, in nanoseconds.
    const PAST: u64 = 10_000_000_000;

    #[test]
    fn peaks_count_at_once_and_fade() {
        let (latency, start) = (Latency::default(), 1);
        let millis = |n| Duration::from_millis(n);
        assert_eq!(latency.mean(), None);
        latency.observe(millis(10), start);
        latency.observe(millis(500), start);
        assert_eq!(latency.mean(), Some(millis(500)));
        latency.observe(millis(10), start + PAST);
        let faded = latency.mean().expect("known");
        assert!(faded > millis(150) && faded < millis(250), "{faded:?}");
        latency.observe(millis(10), start + PAST * 20);
        assert!(latency.mean().expect("known") < millis(11));
    }

    #[test]
    fn failures_do_not_add_up_for_ever() {
        let (latency, start) = (Latency::default(), 1);
        let (took, answer) = (Duration::from_micros(100), Duration::from_millis(10));
        (0..100).for_each(|_| latency.failed(took, start));
        assert_eq!(latency.mean(), Some(Duration::from_secs(1)), "it has never answered");
        latency.forget();
        for _ in 0..100 {
            latency.observe(answer, start);
            (0..20).for_each(|_| latency.failed(took, start));
        }
        assert_eq!(latency.mean(), Some(answer * 10));
        latency.failed(Duration::from_secs(2), start);
        assert_eq!(latency.mean(), Some(Duration::from_secs(2)), "so long it did take");
        latency.observe(answer, start + PAST * 10);
        assert!(latency.mean().expect("known") < answer * 2);
    }

    #[test]
    fn decay_is_the_same_however_it_is_computed() {
        for past in [0, 1_000_000, 50_000_000, 99_000_000, 100_000_000, 101_000_000, 30_000_000_000]
        {
            let exact = (-(past as f64) / 1e10).exp();
            assert!((decayed(past) - exact).abs() < 1e-6, "{past}: {} {exact}", decayed(past));
        }
    }

    #[test]
    fn without_traffic_a_peak_fades_and_is_forgotten() {
        let (latency, start) = (Latency::default(), 1);
        latency.observe(Duration::from_secs(3), start);
        assert_eq!(latency.get(start), Some(Duration::from_secs(3)));
        let faded = latency.get(start + PAST).expect("known");
        assert!(faded > Duration::from_secs(1) && faded < Duration::from_millis(1_200));
        assert_eq!(latency.get(start + 50_000_000_000), None);
        assert_eq!(latency.mean(), Some(Duration::from_secs(3)));
    }
}
