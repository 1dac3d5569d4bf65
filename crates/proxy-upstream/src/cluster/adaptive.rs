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
//! request that failed counts as a slow one, however fast it failed. One that was given up on before
//! it was answered, for whatever reason, has taken at least as long as it had: it counts where that
//! alone is slow.
//!
//! **Like with like.** A response that has nothing of what was asked for, such as 304 or 404, often
//! takes an endpoint a fraction of the time. Were it taken for what an answer takes, all others would
//! look slow after a while of them. So answers are of two [kinds](Kind), each with a least latency of
//! its own, and a window is judged by the kind of which it has more. Among answers of 2xx some cost less
//! than others, too: under load the least latency does not fall by a window of them, as it does not in
//! Envoy. It comes from measurements alone, and from windows with no more under way than in one.
//!
//! **In vain.** Such a window may have had nothing but cheap answers. Then all that come later look slow,
//! and fewer of them at a time make none faster. Where the limit was halved and answers take nearly as long
//! as before, or where it falls no further although they take much too long, the least latency is measured
//! anew at once. (Envoy does so where the limit was the least one for five windows.) That happens at most
//! every tenth of [`probe_interval`](AdaptiveConfig::probe_interval).

mod samples;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proxy_core::clock::later;
use samples::{ENOUGH, Samples};
pub(super) use samples::{Kind, Sample};

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
    samples: Samples,
    begun: Instant,
    /// The most requests that were under way at an answer of the window.
    busiest: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The least latency is being measured; then this limit holds again.
    Probing { then: usize },
    /// Not before `early` it is measured again, at `probe_at` in any case.
    Steady { early: Instant, probe_at: Instant },
}

impl Adaptive {
    pub(super) fn new(config: AdaptiveConfig, now: Instant) -> Self {
        let min_limit = config.min_limit.max(1);
        let max_limit = config.max_limit.max(min_limit);
        let config = AdaptiveConfig { min_limit, max_limit, ..config };
        let state = State {
            samples: Samples::default(),
            begun: now,
            busiest: 0,
            phase: Phase::Probing { then: INITIAL.clamp(min_limit, max_limit) },
        };
        let (limit, probing) = (AtomicUsize::new(min_limit), AtomicBool::new(true));
        Self { config, limit, probing, state: Mutex::new(state) }
    }

    /// Requests that it may have at a time. Who leaves looks at it, and who raises it looks at who has
    /// left, in the one order of all threads (see `Permit`): one of them calls who waits.
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::SeqCst)
    }

    /// What it takes when it has little to do.
    pub(super) fn least(&self) -> Option<Duration> {
        self.lock().samples.least().and_then(|least| Duration::try_from_secs_f64(least).ok())
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
        state.phase = self.steady(now, 1.0);
        state.begin(now);
        self.probing.store(false, Ordering::Relaxed);
        let before = self.limit.swap(then, Ordering::SeqCst);
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
        let is_probing = matches!(state.phase, Phase::Probing { .. });
        if sample.started < state.begun && is_probing {
            return false;
        }
        // Nothing is measured by what failed, but a measurement may come to its end by it.
        let taken = match sample.kind {
            Kind::Failed | Kind::Unanswered if is_probing => true,
            _ => state.samples.take(sample, self.config.tolerance),
        };
        if !taken {
            return false;
        }
        state.busiest = state.busiest.max(sample.in_flight);
        let passed = sample.now.saturating_duration_since(state.begun);
        let after = match state.phase {
            Phase::Probing { then } => {
                if state.samples.count() < self.config.probe_requests && passed < PROBE_TIME {
                    return false;
                }
                state.samples.measure();
                state.phase = self.steady(sample.now, 0.9 + 0.2 * chance());
                then
            }
            Phase::Steady { early, probe_at } => {
                if state.samples.count() < ENOUGH || passed < self.config.window {
                    return false;
                }
                let (after, in_vain) = self.decide(&mut state, before);
                let due = if in_vain { early } else { probe_at };
                if due <= sample.now && may_probe() {
                    state.phase = Phase::Probing { then: after };
                    self.config.min_limit
                } else {
                    after
                }
            }
        };
        state.begin(sample.now);
        let is_probing = matches!(state.phase, Phase::Probing { .. });
        self.probing.store(is_probing, Ordering::Relaxed);
        self.limit.store(after, Ordering::SeqCst);
        after > before
    }

    /// What follows a measurement, for so many times the usual interval.
    fn steady(&self, now: Instant, times: f64) -> Phase {
        let interval = self.config.probe_interval;
        Phase::Steady {
            early: later(now, interval / 10),
            probe_at: later(
                now,
                Duration::try_from_secs_f64(interval.as_secs_f64() * times)
                    .unwrap_or(Duration::MAX),
            ),
        }
    }

    /// The limit after a window, and whether it has become lower in vain.
    fn decide(&self, state: &mut State, limit: usize) -> (usize, bool) {
        let busiest = state.busiest;
        let answers = state.samples.more();
        let Some(now) = answers.median() else { return (limit, false) };
        let least = answers.least.unwrap_or(now);
        // As good as a measurement: it had no more to do than while it is measured. What failed
        // counts as slow by what is known, and measures nothing.
        let is_measured = busiest <= self.config.min_limit && !answers.has_failed;
        let least = if is_measured { now } else { least };
        answers.least = Some(least);
        let gradient = (least * self.config.tolerance / now.max(f64::MIN_POSITIVE)).clamp(0.5, 1.0);
        let is_used = busiest * 2 >= limit;
        if gradient >= 1.0 && !is_used {
            answers.shrinking = None;
            return (limit, false);
        }
        let next = (limit as f64 * gradient + (limit as f64).sqrt()).round() as usize;
        let next = next.clamp(self.config.min_limit, self.config.max_limit);
        (next, answers.is_in_vain(gradient, now, limit, next))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Another window or measurement begins.
    fn begin(&mut self, now: Instant) {
        self.samples.clear();
        self.begun = now;
        self.busiest = 0;
    }
}

#[cfg(test)]
mod tests;
