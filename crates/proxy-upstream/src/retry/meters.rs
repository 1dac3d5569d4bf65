//! What retries count.

use metrics::{Counter, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

use super::Reason;

/// Retries; labels `upstream`, `reason` (`connect`, `reset`, `timeout`, `status`).
pub(super) const RETRIES: &str = "proxy_upstream_retries_total";
/// Requests that would have gone again, had there been budget; label `upstream`.
pub(super) const REFUSED: &str = "proxy_upstream_retries_refused_total";

const REASONS: [&str; 4] = ["connect", "reset", "timeout", "status"];

pub(super) struct Meters(Option<Exported>);

struct Exported {
    reasons: [Counter; 4],
    refused: Counter,
}

impl Meters {
    pub(super) fn new(upstream: &str, recorder: Option<&dyn Recorder>) -> Self {
        let Some(recorder) = recorder else { return Self(None) };
        let text = SharedString::const_str;
        let name = KeyName::from_const_str;
        let count = Some(Unit::Count);
        recorder.describe_counter(name(RETRIES), count, text("Requests sent again, by reason."));
        let what = "Requests not sent again because too many were.";
        recorder.describe_counter(name(REFUSED), count, text(what));
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let label = || Label::new("upstream", upstream.to_owned());
        let reasons = REASONS.map(|reason| {
            let labels = vec![label(), Label::from_static_parts("reason", reason)];
            recorder.register_counter(&Key::from_parts(RETRIES, labels), &metadata)
        });
        let refused =
            recorder.register_counter(&Key::from_parts(REFUSED, vec![label()]), &metadata);
        Self(Some(Exported { reasons, refused }))
    }

    pub(super) fn retried(&self, reason: Reason) {
        if let Some(exported) = &self.0 {
            exported.reasons[reason as usize].increment(1);
        }
    }

    pub(super) fn refused(&self) {
        if let Some(exported) = &self.0 {
            exported.refused.increment(1);
        }
    }
}
