//! Adaptive concurrency: how many requests an endpoint gets at a time follows from how long it
//! takes to answer.
//!
//! An endpoint that has more to do than it can answers later: its requests wait inside of it. What
//! it takes when it has little to do is measured, and what it takes now is compared with it: while
//! both are alike the limit grows, by its square root in each [`window`](AdaptiveConfig::window),
//! and where answers take longer than [`tolerance`](AdaptiveConfig::tolerance) times as long it
//! shrinks by the ratio (the gradient), at most by half. What exceeds it waits in the queue of the
//! upstream, is balanced to others, or is shed; it does not make everything slow.
//!
//! Sources: the adaptive concurrency filter of Envoy (windows, a least latency that is measured at a
//! low concurrency and again from time to time, the square root as headroom) and `Gradient2Limit`
//! of Netflix's concurrency-limits (the gradient at most 1, a tolerance, no growth of a limit that
//! is not made use of), both after TCP Vegas (Brakmo, Peterson, 1995).
//!
//! **What is measured** is the time to the response's head of requests whose content was there
//! from the beginning: how long a client takes to send its own says nothing about the endpoint. A
//! request that failed counts as a slow one, however fast it failed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How the limits of endpoints are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveConfig {
    /// The least limit, which also holds while the least latency is measured. At least 1.
    /// Default: 3.
    pub min_limit: usize,
    /// The largest. Default: 1024.
    pub max_limit: usize,
    /// So many times the least latency is no reason to shrink. Default: 1.5.
    pub tolerance: f64,
    /// How often the limit is decided about, at most: a window has at least ten answers.
    /// Default: 100 ms.
    pub window: Duration,
    /// After what time, a tenth more or less, the least latency is measured anew: what an endpoint
    /// can do changes. Default: 60 s.
    pub probe_interval: Duration,
    /// Answers from which it is found. Default: 25.
    pub probe_requests: usize,
}

impl Default for AdaptiveConfig {
    fn default() -> Self {
        Self {
            min_limit: 3,
            max_limit: 1024,
            tolerance: 1.5,
            window: Duration::from_millis(100),
            probe_interval: Duration::from_secs(60),
            probe_requests: 25,
        }
    }
}

/// What a limit begins with, within its bounds.
const INITIAL: usize = 20;

/// Answers without which a window says nothing.
const ENOUGH: usize = 10;

/// Answers of a window that are kept; of more, the first ones.
const SAMPLES: usize = 256;

/// A measurement ends after this time, if it has any answers: slow endpoints are not held at the
/// least limit for long.
const PROBE_TIME: Duration = Duration::from_secs(1);

/// The limit of one endpoint.
#[derive(Debug)]
pub(super) struct Adaptive {
    config: AdaptiveConfig,
    limit: AtomicUsize,
    /// Whether its least latency is being measured: others ask, and must not wait for `state`.
    probing: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Seconds; of the window, or of the measurement.
    samples: Vec<f64>,
    begun: Instant,
    /// The most requests that were under way at an answer of the window.
    busiest: usize,
    /// The least latency, in seconds; `None` before it was measured.
    least: Option<f64>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The least latency is being measured; then this limit holds again.
    Probing {
        then: usize,
    },
    Steady {
        probe_at: Instant,
    },
}

/// An answer.
pub(super) struct Sample {
    /// When its request was sent.
    pub(super) started: Instant,
    pub(super) took: Duration,
    pub(super) failed: bool,
    /// Requests that were under way, this one included.
    pub(super) in_flight: usize,
    pub(super) now: Instant,
}

impl Adaptive {
    pub(super) fn new(config: AdaptiveConfig, now: Instant) -> Self {
        let min_limit = config.min_limit.max(1);
        let max_limit = config.max_limit.max(min_limit);
        let config = AdaptiveConfig { min_limit, max_limit, ..config };
        let state = State {
            samples: Vec::new(),
            begun: now,
            busiest: 0,
            least: None,
            phase: Phase::Probing { then: INITIAL.clamp(min_limit, max_limit) },
        };
        let (limit, probing) = (AtomicUsize::new(min_limit), AtomicBool::new(true));
        Self { config, limit, probing, state: Mutex::new(state) }
    }

    /// Requests that it may have at a time.
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// What it takes when it has little to do.
    pub(super) fn least(&self) -> Option<Duration> {
        self.lock().least.map(Duration::from_secs_f64)
    }

    /// Whether its least latency is being measured.
    pub(super) fn is_probing(&self) -> bool {
        self.probing.load(Ordering::Relaxed)
    }

    /// Ends a measurement that has lasted for too long, because nothing that is asked can be measured:
    /// the limit is what it was before. `true` where it is higher now.
    pub(super) fn give_up_probe(&self, now: Instant) -> bool {
        if !self.is_probing() {
            return false;
        }
        let mut state = self.lock();
        let Phase::Probing { then } = state.phase else { return false };
        if now.saturating_duration_since(state.begun) < PROBE_TIME {
            return false;
        }
        state.phase = Phase::Steady { probe_at: now + self.config.probe_interval };
        state.samples.clear();
        state.begun = now;
        state.busiest = 0;
        self.probing.store(false, Ordering::Relaxed);
        let before = self.limit.swap(then, Ordering::Relaxed);
        then > before
    }

    /// Takes an answer into account. `true` where the limit is higher now. `may_probe`: no other
    /// endpoint is being measured; `chance` is from 0 to 1.
    pub(super) fn observe(
        &self,
        sample: &Sample,
        may_probe: impl FnOnce() -> bool,
        chance: impl FnOnce() -> f64,
    ) -> bool {
        let before = self.limit();
        let mut state = self.lock();
        // What was sent in another window, under another limit, says nothing about this one.
        if sample.started < state.begun && matches!(state.phase, Phase::Probing { .. }) {
            return false;
        }
        let took = sample.took.as_secs_f64();
        let took = match (sample.failed, state.least) {
            (false, _) => took,
            (true, Some(least)) => took.max(least * 2.0),
            (true, None) => return false,
        };
        if state.samples.len() < SAMPLES {
            state.samples.push(took);
        }
        state.busiest = state.busiest.max(sample.in_flight);
        let passed = sample.now.saturating_duration_since(state.begun);
        let after = match state.phase {
            Phase::Probing { then } => {
                if state.samples.len() < self.config.probe_requests && passed < PROBE_TIME {
                    return false;
                }
                state.least = state.median();
                let wait = self.config.probe_interval.mul_f64(0.9 + 0.2 * chance());
                state.phase = Phase::Steady { probe_at: sample.now + wait };
                then
            }
            Phase::Steady { probe_at } => {
                if state.samples.len() < ENOUGH || passed < self.config.window {
                    return false;
                }
                let after = self.decide(&mut state, before);
                if probe_at <= sample.now && may_probe() {
                    state.phase = Phase::Probing { then: after };
                    self.config.min_limit
                } else {
                    after
                }
            }
        };
        state.samples.clear();
        state.begun = sample.now;
        state.busiest = 0;
        let probing = matches!(state.phase, Phase::Probing { .. });
        self.probing.store(probing, Ordering::Relaxed);
        self.limit.store(after, Ordering::Relaxed);
        after > before
    }

    /// The limit after a window.
    fn decide(&self, state: &mut State, limit: usize) -> usize {
        let Some(now) = state.median() else { return limit };
        let least = state.least.map_or(now, |least| least.min(now));
        // As good as a measurement: it had no more to do than while it is measured.
        let least = if state.busiest <= self.config.min_limit { now } else { least };
        state.least = Some(least);
        let gradient = (least * self.config.tolerance / now.max(f64::MIN_POSITIVE)).clamp(0.5, 1.0);
        let is_used = state.busiest * 2 >= limit;
        if gradient >= 1.0 && !is_used {
            return limit;
        }
        let limit = limit as f64;
        let next = (limit * gradient + limit.sqrt()).round() as usize;
        next.clamp(self.config.min_limit, self.config.max_limit)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn median(&mut self) -> Option<f64> {
        let middle = self.samples.len() / 2;
        let samples = &mut self.samples;
        (!samples.is_empty()).then(|| *samples.select_nth_unstable_by(middle, f64::total_cmp).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(10);

    struct Endpoint {
        adaptive: Adaptive,
        now: Instant,
        /// Requests that it answers in `BASE`; more wait in it.
        capacity: usize,
    }

    impl Endpoint {
        fn new(config: AdaptiveConfig, capacity: usize) -> Self {
            let now = Instant::now();
            Self { adaptive: Adaptive::new(config, now), now, capacity }
        }

        /// A window in which as many requests as it lets are under way, but no more than these.
        fn window(&mut self, offered: usize) -> usize {
            let in_flight = offered.min(self.adaptive.limit());
            let load = in_flight as f64 / self.capacity as f64;
            let took = BASE.mul_f64(load.max(1.0));
            let answers = (in_flight * 10).clamp(1, 30);
            let pause = Duration::from_millis(100) / u32::try_from(answers).unwrap();
            for _ in 0..=answers {
                self.now += pause;
                let (started, now) = (self.now, self.now);
                let sample = Sample { started, took, failed: false, in_flight, now };
                self.adaptive.observe(&sample, || true, || 0.5);
            }
            self.adaptive.limit()
        }
    }

    /// An endpoint that is asked nothing but uploads is not held at the limit of a measurement.
    #[test]
    fn a_measurement_without_anything_to_measure_ends() {
        let config = AdaptiveConfig::default();
        let (start, least) = (Instant::now(), config.min_limit);
        let adaptive = Adaptive::new(config, start);
        assert!(!adaptive.give_up_probe(start + PROBE_TIME / 2));
        assert_eq!(adaptive.limit(), least);
        assert!(adaptive.give_up_probe(start + PROBE_TIME));
        assert_eq!((adaptive.limit(), adaptive.is_probing()), (INITIAL, false));
        assert!(!adaptive.give_up_probe(start + PROBE_TIME * 2), "it is over");
    }

    #[test]
    fn the_limit_comes_to_what_the_endpoint_can_do() {
        let mut endpoint = Endpoint::new(AdaptiveConfig::default(), 40);
        let limits: Vec<_> = (0..200).map(|_| endpoint.window(10_000)).collect();
        assert!(limits[20..].iter().all(|limit| (40..=120).contains(limit)), "{limits:?}");
        assert_eq!(endpoint.adaptive.least(), Some(BASE));
        // It can do less: the limit follows, and again when it can do more.
        endpoint.capacity = 10;
        let limits: Vec<_> = (0..50).map(|_| endpoint.window(10_000)).collect();
        assert!(limits[20..].iter().all(|limit| (10..=35).contains(limit)), "{limits:?}");
        endpoint.capacity = 40;
        (0..50).for_each(|_| {
            endpoint.window(10_000);
        });
        assert!(endpoint.adaptive.limit() >= 40);
    }

    #[test]
    fn bounds_hold_and_a_limit_that_is_not_used_does_not_grow() {
        let config = AdaptiveConfig { min_limit: 5, max_limit: 30, ..AdaptiveConfig::default() };
        let mut fast = Endpoint::new(config, 1_000_000);
        (0..50).for_each(|_| {
            fast.window(10_000);
        });
        assert_eq!(fast.adaptive.limit(), 30);
        let mut slow = Endpoint::new(config, 1);
        // It was never seen with little to do but at the beginning.
        (0..50).for_each(|_| assert!(slow.window(10_000) >= 5));
        let mut idle = Endpoint::new(AdaptiveConfig::default(), 1_000);
        (0..50).for_each(|_| {
            idle.window(4);
        });
        assert_eq!(idle.adaptive.limit(), INITIAL);
    }

    #[test]
    fn what_an_endpoint_takes_at_least_is_measured_again() {
        let config = AdaptiveConfig::default();
        let mut endpoint = Endpoint::new(config, 40);
        let mut probes = 0;
        let mut was = true;
        for _ in 0..2_000 {
            endpoint.window(10_000);
            let is = endpoint.adaptive.is_probing();
            if is {
                assert_eq!(endpoint.adaptive.limit(), config.min_limit);
            }
            probes += usize::from(is && !was);
            was = is;
        }
        assert!((2..=4).contains(&probes), "{probes} in some 200 s");
    }

    #[test]
    fn failures_count_as_slow_and_old_requests_not_at_all() {
        let mut endpoint = Endpoint::new(AdaptiveConfig::default(), 1_000);
        (0..20).for_each(|_| {
            endpoint.window(10_000);
        });
        let before = endpoint.adaptive.limit();
        for _ in 0..60 {
            endpoint.now += Duration::from_millis(10);
            let now = endpoint.now;
            let (took, in_flight) = (Duration::from_micros(1), before);
            let sample = Sample { started: now, took, failed: true, in_flight, now };
            endpoint.adaptive.observe(&sample, || true, || 0.5);
        }
        assert!(endpoint.adaptive.limit() < before, "{before}");
        let fresh = Endpoint::new(AdaptiveConfig::default(), 1);
        let (started, now) = (fresh.now - BASE, fresh.now + BASE);
        let sample = Sample { started, took: BASE, failed: false, in_flight: 100, now };
        (0..100).for_each(|_| assert!(!fresh.adaptive.observe(&sample, || true, || 0.5)));
        assert!(fresh.adaptive.is_probing());
    }
}
