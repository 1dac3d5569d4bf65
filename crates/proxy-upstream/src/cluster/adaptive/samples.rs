//! What endpoints took for their answers, by what the answers were.

use std::time::{Duration, Instant};

/// Answers without which a window says nothing.
pub(super) const ENOUGH: usize = 10;

/// Answers of a window that are kept; of more, the first ones.
const SAMPLES: usize = 256;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// What was asked for, as far as the status says.
    Full,
    /// Something else that took less, such as 304 or 404.
    Brief,
    /// No answer, or one that says that the endpoint can not.
    Failed,
    /// None so far: somebody gave up on it.
    Unanswered,
}

/// An answer.
pub(in super::super) struct Sample {
    /// When its request was sent.
    pub(in super::super) started: Instant,
    pub(in super::super) took: Duration,
    pub(in super::super) kind: Kind,
    /// Requests that were under way, this one included.
    pub(in super::super) in_flight: usize,
    pub(in super::super) now: Instant,
}

/// The samples of a window, or of a measurement.
#[derive(Debug, Default)]
pub(super) struct Samples {
    full: Answers,
    brief: Answers,
}

/// The answers of one kind.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Seconds; of the window, or of the measurement.
    samples: Vec<f64>,
    /// Whether some of them are no answers.
    pub(super) has_failed: bool,
    /// The least latency, in seconds; `None` before it was measured.
    pub(super) least: Option<f64>,
    /// Since the limit has been falling: what it was, and what answers took, in seconds.
    pub(super) shrinking: Option<(usize, f64)>,
}

impl Samples {
    /// Forgets the samples, and not what was found by them.
    pub(super) fn clear(&mut self) {
        for answers in [&mut self.full, &mut self.brief] {
            answers.samples.clear();
            answers.has_failed = false;
        }
    }

    /// The least latency, of what was asked for where that is known, in seconds.
    pub(super) fn least(&self) -> Option<f64> {
        self.full.least.or(self.brief.least)
    }

    pub(super) fn count(&self) -> usize {
        self.full.samples.len() + self.brief.samples.len()
    }

    /// The kind of which there are more.
    pub(super) fn more(&mut self) -> &mut Answers {
        match self.full.samples.len() >= self.brief.samples.len() {
            true => &mut self.full,
            false => &mut self.brief,
        }
    }

    /// Keeps a sample; `false` where it says nothing.
    pub(super) fn take(&mut self, sample: &Sample, tolerance: f64) -> bool {
        let answers = match sample.kind {
            Kind::Full => &mut self.full,
            Kind::Brief => &mut self.brief,
            // What they would have been nobody knows: most likely what was asked for.
            Kind::Failed | Kind::Unanswered if self.full.least.is_some() => &mut self.full,
            Kind::Failed | Kind::Unanswered => &mut self.brief,
        };
        let took = sample.took.as_secs_f64();
        let took = match (sample.kind, answers.least) {
            (Kind::Full | Kind::Brief, _) => took,
            (Kind::Failed, Some(least)) => took.max(least * 2.0),
            (Kind::Unanswered, Some(least)) if took > least * tolerance => took,
            _ => return false,
        };
        if answers.samples.len() < SAMPLES {
            answers.samples.push(took);
        }
        answers.has_failed |= matches!(sample.kind, Kind::Failed | Kind::Unanswered);
        true
    }

    /// What was measured is the least latency: of the kind of which there is more, and of the other
    /// one where there is enough of it.
    pub(super) fn measure(&mut self) {
        let more = self.more();
        more.shrinking = None;
        more.least = more.median().or(more.least);
        for answers in [&mut self.full, &mut self.brief] {
            if answers.samples.len() >= ENOUGH || answers.least.is_none() {
                answers.least = answers.median().or(answers.least);
            }
        }
    }
}

/// Where half as many requests at a time leave answers this share of what they took, or more, it is not
/// for others that they wait: then it would be half.
const UNCHANGED: f64 = 0.75;

impl Answers {
    /// Whether a limit that falls, by this gradient to `next`, makes no answer faster.
    pub(super) fn is_in_vain(
        &mut self,
        gradient: f64,
        now: f64,
        limit: usize,
        next: usize,
    ) -> bool {
        // Failures are slow by what is assumed of them, however many there are at a time.
        if gradient >= 1.0 || self.has_failed {
            self.shrinking = None;
            return false;
        }
        let (from, then) = *self.shrinking.get_or_insert((limit, now));
        let is_halved = next * 2 <= from && now >= then * UNCHANGED;
        let is_stuck = gradient <= 0.5 && next >= limit;
        let in_vain = is_halved || is_stuck;
        if in_vain {
            self.shrinking = None;
        }
        in_vain
    }

    pub(super) fn median(&mut self) -> Option<f64> {
        let middle = self.samples.len() / 2;
        let samples = &mut self.samples;
        (!samples.is_empty()).then(|| *samples.select_nth_unstable_by(middle, f64::total_cmp).1)
    }
}
