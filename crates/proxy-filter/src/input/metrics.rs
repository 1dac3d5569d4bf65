//! What input validation counts.

use std::fmt;

use metrics::{Counter, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

use super::fault::Fault;

/// Requests that were judged; label `outcome`: `passed`, `reported`, `refused`.
pub const REQUESTS: &str = "proxy_filter_input_requests_total";
/// What was wrong with those that were reported or refused; label `reason`.
pub const FAULTS: &str = "proxy_filter_input_faults_total";

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Reported,
    Refused,
}

const OUTCOMES: [&str; 3] = ["passed", "reported", "refused"];

#[derive(Default)]
pub(super) struct InputMetrics {
    exported: Option<Exported>,
}

struct Exported {
    outcomes: [Counter; 3],
    faults: Vec<Counter>,
}

impl InputMetrics {
    pub(super) fn new(recorder: &dyn Recorder) -> Self {
        for (name, what) in [
            (REQUESTS, "Requests whose form was judged, by what became of them."),
            (FAULTS, "Requests that had not the form that is asked for, by what was wrong."),
        ] {
            let (name, what) = (KeyName::from_const_str(name), SharedString::const_str(what));
            recorder.describe_counter(name, Some(Unit::Count), what);
        }
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let counter = |name: &'static str, label, value: &'static str| {
            let labels = vec![Label::from_static_parts(label, value)];
            recorder.register_counter(&Key::from_parts(name, labels), &metadata)
        };
        let outcomes = OUTCOMES.map(|outcome| counter(REQUESTS, "outcome", outcome));
        let faults = Fault::ALL.iter().map(|fault| counter(FAULTS, "reason", fault.reason()));
        Self { exported: Some(Exported { outcomes, faults: faults.collect() }) }
    }

    pub(super) fn count(&self, outcome: Outcome, fault: Option<Fault>) {
        let Some(exported) = &self.exported else { return };
        exported.outcomes[outcome as usize].increment(1);
        if let Some(fault) = fault {
            exported.faults[fault as usize].increment(1);
        }
    }
}

impl fmt::Debug for InputMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InputMetrics")
    }
}
