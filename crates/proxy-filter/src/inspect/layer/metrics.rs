//! What inspection counts.

use metrics::{Counter, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

use crate::inspect::verdict::{Class, Report};

/// Requests that were inspected; labels `route` and `outcome` (`passed`, `reported`, `refused`).
pub const REQUESTS: &str = "proxy_filter_inspected_requests_total";
/// Rules that matched; labels `route` and `class`.
pub const FINDINGS: &str = "proxy_filter_inspection_findings_total";
/// Bytes of content that were shown to an inspection; label `route`.
pub const BYTES: &str = "proxy_filter_inspected_bytes_total";

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Outcome {
    Passed,
    Reported,
    Refused,
}

const OUTCOMES: [&str; 3] = ["passed", "reported", "refused"];

/// Counters of one layer. The default ones count for nobody.
#[derive(Debug)]
pub struct InspectMetrics {
    requests: [Counter; OUTCOMES.len()],
    findings: [Counter; Class::ALL.len()],
    bytes: Counter,
}

impl Default for InspectMetrics {
    fn default() -> Self {
        Self {
            requests: std::array::from_fn(|_| Counter::noop()),
            findings: std::array::from_fn(|_| Counter::noop()),
            bytes: Counter::noop(),
        }
    }
}

impl InspectMetrics {
    /// Counters that a recorder exports, with the route's name.
    pub fn new(recorder: &dyn Recorder, route: &str) -> Self {
        for (name, unit, what) in [
            (REQUESTS, Unit::Count, "Requests that were inspected, by what became of them."),
            (FINDINGS, Unit::Count, "Rules that matched in inspected requests, by class."),
            (BYTES, Unit::Bytes, "Content of requests that was inspected."),
        ] {
            let name = KeyName::from_const_str(name);
            recorder.describe_counter(name, Some(unit), SharedString::const_str(what));
        }
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let counter = |name: &'static str, label: Option<Label>| {
            let labels: Vec<Label> =
                [Label::new("route", route.to_owned())].into_iter().chain(label).collect();
            recorder.register_counter(&Key::from_parts(name, labels), &metadata)
        };
        Self {
            requests: OUTCOMES.map(|outcome| {
                counter(REQUESTS, Some(Label::from_static_parts("outcome", outcome)))
            }),
            findings: Class::ALL.map(|class| {
                counter(FINDINGS, Some(Label::from_static_parts("class", class.token())))
            }),
            bytes: counter(BYTES, None),
        }
    }

    pub(super) fn count(&self, outcome: Outcome, report: &Report, bytes: u64) {
        self.requests[outcome as usize].increment(1);
        for finding in &report.findings {
            self.findings[finding.class as usize].increment(1);
        }
        if bytes > 0 {
            self.bytes.increment(bytes);
        }
    }
}
