//! What is counted of the questions.

use std::time::Duration;

use metrics::{
    Counter, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit,
};

/// Requests about which another service was asked; labels `service`, `outcome` (`allowed`,
/// `refused`, `unavailable`).
pub(super) const REQUESTS: &str = "proxy_filter_forward_auth_requests_total";
/// How long that took; label `service`.
pub(super) const DURATION: &str = "proxy_filter_forward_auth_duration_seconds";

/// What the other service made of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Allowed,
    Refused,
    Unavailable,
}

const OUTCOMES: [&str; 3] = ["allowed", "refused", "unavailable"];

#[derive(Default)]
pub(super) struct Meters(Option<Exported>);

struct Exported {
    outcomes: [Counter; 3],
    duration: Histogram,
}

impl Meters {
    pub(super) fn new(service: &str, recorder: &dyn Recorder) -> Self {
        let (name, text) = (KeyName::from_const_str, SharedString::const_str);
        let what = "Requests about which another service was asked, by what it made of them.";
        recorder.describe_counter(name(REQUESTS), Some(Unit::Count), text(what));
        let what = "Time until another service had said whether a request may pass.";
        recorder.describe_histogram(name(DURATION), Some(Unit::Seconds), text(what));
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let label = || Label::new("service", service.to_owned());
        let outcomes = OUTCOMES.map(|outcome| {
            let labels = vec![label(), Label::from_static_parts("outcome", outcome)];
            recorder.register_counter(&Key::from_parts(REQUESTS, labels), &metadata)
        });
        let key = Key::from_parts(DURATION, vec![label()]);
        let duration = recorder.register_histogram(&key, &metadata);
        Self(Some(Exported { outcomes, duration }))
    }

    pub(super) fn count(&self, outcome: Outcome, took: Duration) {
        if let Some(exported) = &self.0 {
            exported.outcomes[outcome as usize].increment(1);
            exported.duration.record(took.as_secs_f64());
        }
    }
}
