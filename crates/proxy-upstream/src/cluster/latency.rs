//! How long an endpoint takes to answer: a moving mean that keeps peaks for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// In this time a peak has lost two thirds of its weight.
const DECAY: Duration = Duration::from_secs(10);

/// From this age on a mean says nothing.
const FORGOTTEN: Duration = Duration::from_secs(50);

/// Failures make an endpoint look so many times as slow as its answers are, at most: once it answers
/// again that is forgotten soon.
const WORST: f64 = 10.0;

/// What one that has never answered is taken for at most, in seconds, however often it fails.
const NEVER_ANSWERED: f64 = 1.0;

/// What is left after so many seconds of what is measured now.
fn decayed(seconds: f64) -> f64 {
    let past = seconds / DECAY.as_secs_f64();
    match past {
        // Most looks come soon after the last one: exact to a millionth, and cheaper.
        0.0..0.01 => 1.0 - past + past * past / 2.0,
        _ => (-past).exp(),
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 1e6))
}

#[derive(Debug, Default)]
pub(super) struct Latency(Mutex<Means>);

#[derive(Clone, Copy, Debug, Default)]
struct Means {
    /// Of all that ended.
    all: Option<Mean>,
    /// Of answers alone.
    answers: Option<Mean>,
}

#[derive(Clone, Copy, Debug)]
struct Mean {
    seconds: f64,
    at: Instant,
}

impl Mean {
    /// With a new measurement: a longer one counts at once, a shorter one little by little.
    fn with(old: Option<Self>, new: f64, now: Instant) -> Self {
        let seconds = match old {
            Some(old) if new < old.seconds => {
                let keep = decayed(now.saturating_duration_since(old.at).as_secs_f64());
                old.seconds * keep + new * (1.0 - keep)
            }
            _ => new,
        };
        Self { seconds, at: now }
    }
}

impl Latency {
    /// An answer.
    pub(super) fn observe(&self, latency: Duration, now: Instant) {
        let mut means = self.lock();
        let new = latency.as_secs_f64();
        means.all = Some(Mean::with(means.all, new, now));
        means.answers = Some(Mean::with(means.answers, new, now));
    }

    /// A failure: who fails at once must not look fast, so each counts as twice the mean, within
    /// bounds.
    pub(super) fn failed(&self, took: Duration, now: Instant) {
        let mut means = self.lock();
        let most = means.answers.map_or(NEVER_ANSWERED, |mean| mean.seconds * WORST);
        let twice = means.all.map_or(0.0, |mean| mean.seconds * 2.0);
        let new = took.as_secs_f64().max(twice.min(most));
        means.all = Some(Mean::with(means.all, new, now));
    }

    /// What to expect now: it fades by age, so that who was slow once and gets nothing since is
    /// asked again. After [`FORGOTTEN`] nothing is known any more.
    pub(super) fn get(&self, now: Instant) -> Option<Duration> {
        let mean = self.lock().all?;
        let age = now.saturating_duration_since(mean.at);
        (age < FORGOTTEN).then(|| seconds(mean.seconds * decayed(age.as_secs_f64())))
    }

    /// The mean as of the last measurement, however long ago.
    pub(super) fn mean(&self) -> Option<Duration> {
        self.lock().all.map(|mean| seconds(mean.seconds))
    }

    /// It comes back: what was is of no concern.
    pub(super) fn forget(&self) {
        *self.lock() = Means::default();
    }

    fn lock(&self) -> MutexGuard<'_, Means> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_count_at_once_and_fade() {
        let (latency, start) = (Latency::default(), Instant::now());
        let millis = |n| Duration::from_millis(n);
        assert_eq!(latency.mean(), None);
        latency.observe(millis(10), start);
        latency.observe(millis(500), start);
        assert_eq!(latency.mean(), Some(millis(500)));
        latency.observe(millis(10), start + DECAY);
        let faded = latency.mean().expect("known");
        assert!(faded > millis(150) && faded < millis(250), "{faded:?}");
        latency.observe(millis(10), start + DECAY * 20);
        assert!(latency.mean().expect("known") < millis(11));
    }

    #[test]
    fn failures_do_not_add_up_for_ever() {
        let (latency, start) = (Latency::default(), Instant::now());
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
        latency.observe(answer, start + DECAY * 10);
        assert!(latency.mean().expect("known") < answer * 2);
    }

    #[test]
    fn decay_is_the_same_however_it_is_computed() {
        for past in [0.0_f64, 0.001, 0.05, 0.099, 0.1, 0.101, 1.0, 30.0] {
            let exact = (-past / 10.0).exp();
            assert!((decayed(past) - exact).abs() < 1e-6, "{past}: {} {exact}", decayed(past));
        }
    }

    #[test]
    fn without_traffic_a_peak_fades_and_is_forgotten() {
        let (latency, start) = (Latency::default(), Instant::now());
        latency.observe(Duration::from_secs(3), start);
        assert_eq!(latency.get(start), Some(Duration::from_secs(3)));
        let faded = latency.get(start + DECAY).expect("known");
        assert!(faded > Duration::from_secs(1) && faded < Duration::from_millis(1_200));
        assert_eq!(latency.get(start + FORGOTTEN), None);
        assert_eq!(latency.mean(), Some(Duration::from_secs(3)));
    }
}
