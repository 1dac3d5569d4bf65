//! What is counted of held content.

use metrics::{Counter, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

/// Bytes written to files; labels `route`, `direction`.
pub(super) const SPILLED: &str = "proxy_upstream_buffer_spilled_bytes_total";
/// Messages that could not be held; labels `route`, `direction`, `reason`.
pub(super) const OVERFLOWS: &str = "proxy_upstream_buffer_overflows_total";

/// Whose content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Response,
}

/// Why it could not be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The message has more than may be held of it.
    Limit,
    /// The file could not be written, or files have all that they may have.
    Disk,
}

const DIRECTIONS: [&str; 2] = ["request", "response"];
const REASONS: [&str; 2] = ["limit", "disk"];

pub(super) struct Meters(Option<[(Counter, [Counter; 2]); 2]>);

impl Meters {
    pub(super) fn new(route: &str, recorder: Option<&dyn Recorder>) -> Self {
        let Some(recorder) = recorder else { return Self(None) };
        let (name, text) = (KeyName::from_const_str, SharedString::const_str);
        let what = "Bytes of held content that were written to files.";
        recorder.describe_counter(name(SPILLED), Some(Unit::Bytes), text(what));
        let what = "Messages whose content could not be held, by reason.";
        recorder.describe_counter(name(OVERFLOWS), Some(Unit::Count), text(what));
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        Self(Some(DIRECTIONS.map(|direction| {
            let direction = Label::from_static_parts("direction", direction);
            let labels = || vec![Label::new("route", route.to_owned()), direction.clone()];
            let counter = |name: &'static str, labels| {
                recorder.register_counter(&Key::from_parts(name, labels), &metadata)
            };
            let overflows = REASONS.map(|reason| {
                let reason = Label::from_static_parts("reason", reason);
                counter(OVERFLOWS, [labels(), vec![reason]].concat())
            });
            (counter(SPILLED, labels()), overflows)
        })))
    }

    pub(super) fn spilled(&self, direction: Direction, bytes: u64) {
        if let Some(own) = &self.0 {
            own[direction as usize].0.increment(bytes);
        }
    }

    pub(super) fn overflow(&self, direction: Direction, why: Full) {
        if let Some(own) = &self.0 {
            own[direction as usize].1[why as usize].increment(1);
        }
    }
}
