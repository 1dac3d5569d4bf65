//! The CPU guard: how much of the machine goes into coding, and what to do where it is too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::metrics::{Gauge, Recorder};
use proxy_core::Clock;

use crate::codings::Levels;
use crate::metrics;

/// Over what time the share is taken.
const WINDOW: Duration = Duration::from_millis(500);

/// Windows at or below the share in a row, after which a step is taken back though more than half of
/// it is used: what the lower levels leave may be just what is asked for.
const CALM: u8 = 8;

/// The levels of step 1 and of step 2.
const LESS: Levels = Levels { zstd: 1, br: 2, gzip: 3 };
const LEAST: Levels = Levels { zstd: 1, br: 1, gzip: 1 };

/// What the guard lets coding take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadLimits {
    /// Of the time of all processors, in percent; 100 and more: no guard. Default: 60.
    pub share: u8,
    /// Processors. Default: 1.
    pub processors: u16,
}

impl Default for LoadLimits {
    fn default() -> Self {
        Self { share: 60, processors: 1 }
    }
}

/// How far coding holds itself back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LoadStep {
    /// Levels as configured.
    Full,
    /// Levels of at most: zstd 1, br 2, gzip 3.
    Less,
    /// Levels of 1.
    Least,
    /// Nothing more is coded.
    Skip,
}

/// Measures the time that coding takes. A clone is the same guard; one serves all layers of a
/// process.
///
/// What is measured is how long each slice of work takes from begin to end by the injected clock:
/// where the machine is busy with other things, slices take longer, and the guard steps in sooner.
/// Each half second above the limit is one [`LoadStep`] further, each below half of it one back, and
/// so are four seconds in between.
#[derive(Clone)]
pub struct LoadGuard(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    limits: LoadLimits,
    begun: Instant,
    /// The window at hand: when it began, in nanoseconds since the beginning.
    window: AtomicU64,
    /// Nanoseconds of work in it.
    busy: AtomicU64,
    step: AtomicU8,
    /// Windows in a row that were neither above the share nor below half of it.
    calm: AtomicU8,
    exported: Option<Gauge>,
}

impl LoadGuard {
    /// A guard by this clock; where there is a recorder, it exports its step
    /// ([`metrics::LOAD_STEP`]).
    pub fn new(clock: Arc<dyn Clock>, limits: LoadLimits, recorder: Option<&dyn Recorder>) -> Self {
        let what = "How far coding holds itself back: 0 not at all, 3 nothing more is coded.";
        let exported = recorder.map(|own| metrics::gauge(own, metrics::LOAD_STEP, what));
        let begun = clock.now();
        let inner = Inner {
            clock,
            limits,
            begun,
            window: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            step: AtomicU8::new(0),
            calm: AtomicU8::new(0),
            exported,
        };
        Self(Arc::new(inner))
    }

    /// Where coding stands now. The gauge follows when this is asked for: by every response that
    /// might be coded, and by whoever has it exported, while there are none.
    pub fn step(&self) -> LoadStep {
        self.turn(self.0.clock.now());
        match self.0.step.load(Ordering::Relaxed) {
            0 => LoadStep::Full,
            1 => LoadStep::Less,
            2 => LoadStep::Least,
            _ => LoadStep::Skip,
        }
    }

    /// Does a slice of work and counts its time, which it gives back too.
    pub(crate) fn measure<T>(&self, work: impl FnOnce() -> T) -> (T, Duration) {
        let begin = self.0.clock.now();
        let done = work();
        let end = self.0.clock.now();
        let took = end.saturating_duration_since(begin);
        self.0.busy.fetch_add(nanos(took), Ordering::Relaxed);
        self.turn(end);
        (done, took)
    }

    /// Judges the window where it is over, and begins another.
    fn turn(&self, now: Instant) {
        let inner = &*self.0;
        let now = nanos(now.saturating_duration_since(inner.begun));
        let window = inner.window.load(Ordering::Relaxed);
        let passed = now.saturating_sub(window);
        if u128::from(passed) < WINDOW.as_nanos() {
            return;
        }
        let turned =
            inner.window.compare_exchange(window, now, Ordering::Relaxed, Ordering::Relaxed);
        if turned.is_err() {
            return;
        }
        let busy = inner.busy.swap(0, Ordering::Relaxed);
        let LoadLimits { share, processors } = inner.limits;
        let whole = u128::from(passed) * u128::from(processors.max(1));
        let percent = u128::from(busy) * 100 / whole.max(1);
        let step = inner.step.load(Ordering::Relaxed);
        // Several windows may have passed while nobody looked: nothing was coded in them.
        let idle = u8::try_from(u128::from(passed) / WINDOW.as_nanos()).unwrap_or(u8::MAX);
        let calm = inner.calm.load(Ordering::Relaxed);
        let (step, calm) = if share < 100 && percent > u128::from(share) {
            ((step + 1).min(LoadStep::Skip as u8), 0)
        } else if percent * 2 < u128::from(share) {
            (step.saturating_sub(idle), 0)
        } else if calm + 1 >= CALM {
            (step.saturating_sub(1), 0)
        } else {
            (step, calm + 1)
        };
        inner.calm.store(calm, Ordering::Relaxed);
        inner.step.store(step, Ordering::Relaxed);
        if let Some(exported) = &inner.exported {
            exported.set(f64::from(step));
        }
    }
}

impl LoadStep {
    /// The levels that are left of these; `None`: do not code.
    pub(crate) fn lower(self, levels: Levels) -> Option<Levels> {
        match self {
            Self::Full => Some(levels),
            Self::Less => Some(levels.at_most(LESS)),
            Self::Least => Some(levels.at_most(LEAST)),
            Self::Skip => None,
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl std::fmt::Debug for LoadGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadGuard").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proxy_testkit::ManualClock;

    use super::*;

    #[test]
    fn it_steps_down_under_load_and_up_again() {
        let clock = ManualClock::new();
        let limits = LoadLimits { share: 50, processors: 2 };
        let guard = LoadGuard::new(Arc::new(clock.clone()), limits, None);
        // Work for a share of both processors, in a window.
        let work = |percent: u32| {
            for _ in 0..2 {
                guard.measure(|| clock.advance(WINDOW * percent / 100 / 2));
            }
            // The other processor's work takes no time of this clock.
            let other = WINDOW * percent / 100;
            guard.0.busy.fetch_add(nanos(other), Ordering::Relaxed);
            clock.advance(WINDOW - WINDOW * percent / 100);
            guard.step()
        };
        assert_eq!(guard.step(), LoadStep::Full);
        let steps: Vec<_> = [40, 60, 60, 45, 60, 90, 45, 10, 10, 10, 0].map(work).to_vec();
        use LoadStep::{Full, Least, Less, Skip};
        let expected = [Full, Less, Least, Least, Skip, Skip, Skip, Least, Less, Full, Full];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_long_rest_ends_it() {
        let clock = ManualClock::new();
        let guard = LoadGuard::new(Arc::new(clock.clone()), LoadLimits::default(), None);
        for _ in 0..5 {
            guard.measure(|| clock.advance(WINDOW));
        }
        assert_eq!(guard.step(), LoadStep::Skip);
        assert_eq!(guard.step().lower(Levels::STORED), None);
        clock.advance(WINDOW * 10);
        assert_eq!(guard.step(), LoadStep::Full);
    }

    #[test]
    fn what_stays_below_the_limit_for_long_ends_it_too() {
        let clock = ManualClock::new();
        let limits = LoadLimits { share: 50, processors: 1 };
        let guard = LoadGuard::new(Arc::new(clock.clone()), limits, None);
        let work = |percent: u32| {
            guard.measure(|| clock.advance(WINDOW * percent / 100));
            clock.advance(WINDOW - WINDOW * percent / 100);
            guard.step()
        };
        assert_eq!(work(90), LoadStep::Less);
        for _ in 1..CALM {
            assert_eq!(work(40), LoadStep::Less);
        }
        assert_eq!(work(40), LoadStep::Full);
    }

    #[test]
    fn levels_are_lowered_never_raised() {
        let low = Levels { zstd: 1, br: 0, gzip: 2 };
        assert_eq!(LoadStep::Less.lower(low), Some(low));
        let levels = Levels::STORED;
        assert_eq!(LoadStep::Least.lower(levels), Some(Levels { zstd: 1, br: 1, gzip: 1 }));
    }
}
