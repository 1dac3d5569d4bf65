//! What is counted of parents.

use metrics::{Counter, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

/// Destinations that a parent was asked for; labels `parent`, `outcome`.
pub(super) const ASKED: &str = "proxy_upstream_parent_connections_total";

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It connected.
    Connected,
    /// It did not.
    Refused,
    /// It asked for other credentials.
    Credentials,
    /// It could not be reached itself.
    Unreachable,
}

const OUTCOMES: [&str; 4] = ["connected", "refused", "credentials", "unreachable"];

pub(super) struct Meters(Option<[Counter; 4]>);

impl Meters {
    pub(super) fn new(parent: &str, recorder: Option<&dyn Recorder>) -> Self {
        let Some(recorder) = recorder else { return Self(None) };
        let what = "Destinations that a parent proxy was asked for, by what came of it.";
        let what = SharedString::const_str(what);
        recorder.describe_counter(KeyName::from_const_str(ASKED), Some(Unit::Count), what);
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        Self(Some(OUTCOMES.map(|outcome| {
            let parent = Label::new("parent", parent.to_owned());
            let labels = vec![parent, Label::from_static_parts("outcome", outcome)];
            recorder.register_counter(&Key::from_parts(ASKED, labels), &metadata)
        })))
    }

    pub(super) fn count(&self, outcome: Outcome) {
        if let Some(counters) = &self.0 {
            counters[outcome as usize].increment(1);
        }
    }
}
