//! What is counted of copies.

use metrics::{Counter, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

/// Requests that were to be copied; labels `upstream`, `outcome`.
pub(super) const MIRRORED: &str = "proxy_upstream_mirrored_requests_total";

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was answered, in whatever way.
    Answered,
    /// It was not.
    Failed,
    /// It was not, in time.
    Timeout,
    /// Too many were under way.
    Busy,
    /// It has too much content.
    TooLarge,
    /// The request was not read to its end.
    Incomplete,
}

const OUTCOMES: [&str; 6] = ["answered", "failed", "timeout", "busy", "too_large", "incomplete"];

pub(super) struct Meters(Option<[Counter; 6]>);

impl Meters {
    pub(super) fn new(upstream: &str, recorder: Option<&dyn Recorder>) -> Self {
        let Some(recorder) = recorder else { return Self(None) };
        let what = SharedString::const_str("Requests to be copied, by what became of the copy.");
        recorder.describe_counter(KeyName::from_const_str(MIRRORED), Some(Unit::Count), what);
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        Self(Some(OUTCOMES.map(|outcome| {
            let upstream = Label::new("upstream", upstream.to_owned());
            let labels = vec![upstream, Label::from_static_parts("outcome", outcome)];
            recorder.register_counter(&Key::from_parts(MIRRORED, labels), &metadata)
        })))
    }

    pub(super) fn count(&self, outcome: Outcome) {
        if let Some(counters) = &self.0 {
            counters[outcome as usize].increment(1);
        }
    }
}
