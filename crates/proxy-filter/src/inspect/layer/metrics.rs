//! What inspection counts.

use metrics::{Counter, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

use crate::inspect::verdict::{Class, Report};

/// Requests that were inspected; labels `route` and `outcome` (`passed`, `reported`, `refused`).
pub const REQUESTS: &str = "proxy_filter_inspected_requests_total";
/// Rules that matched; labels `route` and `class`.
pub const FINDINGS: &str = "proxy_filter_inspection_findings_total";
/// Bytes of content that were shown to an inspection; label `route`.
pub const BYTES: &str = "proxy_filter_inspected_bytes_total";

/// Responses that were inspected; labels `route` and `outcome`.
pub const RESPONSES: &str = "proxy_filter_inspected_responses_total";
/// Rules that matched in responses; labels `route` and `class`.
pub const RESPONSE_FINDINGS: &str = "proxy_filter_response_findings_total";
/// Bytes of content that were shown to the inspection of a response; label `route`.
pub const RESPONSE_BYTES: &str = "proxy_filter_inspected_response_bytes_total";

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(in crate::inspect) enum Outcome {
    Passed,
    Reported,
    Refused,
}

const OUTCOMES: [&str; 3] = ["passed", "reported", "refused"];

/// Counters of one layer. The default ones count for nobody.
#[derive(Debug)]
pub struct InspectMetrics {
    messages: [Counter; OUTCOMES.len()],
    findings: [Counter; Class::ALL.len()],
    bytes: Counter,
}

impl Default for InspectMetrics {
    fn default() -> Self {
        Self {
            messages: std::array::from_fn(|_| Counter::noop()),
            findings: std::array::from_fn(|_| Counter::noop()),
            bytes: Counter::noop(),
        }
    }
}

impl InspectMetrics {
    /// Counters of requests that a recorder exports, with the route's name.
    pub fn new(recorder: &dyn Recorder, route: &str) -> Self {
        let names = [
            (REQUESTS, "Requests that were inspected, by what became of them."),
            (FINDINGS, "Rules that matched in inspected requests, by class."),
            (BYTES, "Content of requests that was inspected."),
        ];
        Self::of(recorder, route, names, &Class::OF_REQUESTS)
    }

    /// Counters of responses that a recorder exports, with the route's name.
    pub fn of_responses(recorder: &dyn Recorder, route: &str) -> Self {
        let names = [
            (RESPONSES, "Responses that were inspected, by what became of them."),
            (RESPONSE_FINDINGS, "Rules that matched in inspected responses, by class."),
            (RESPONSE_BYTES, "Content of responses that was inspected."),
        ];
        Self::of(recorder, route, names, &Class::OF_RESPONSES)
    }

    fn of(
        recorder: &dyn Recorder,
        route: &str,
        names: [(&'static str, &'static str); 3],
        classes: &[Class],
    ) -> Self {
        for ((name, what), unit) in names.into_iter().zip([Unit::Count, Unit::Count, Unit::Bytes]) {
            let name = KeyName::from_const_str(name);
            recorder.describe_counter(name, Some(unit), SharedString::const_str(what));
        }
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let counter = |name: &'static str, label: Option<Label>| {
            let labels: Vec<Label> =
                [Label::new("route", route.to_owned())].into_iter().chain(label).collect();
            recorder.register_counter(&Key::from_parts(name, labels), &metadata)
        };
        let [(messages, _), (findings, _), (bytes, _)] = names;
        let findings = Class::ALL.map(|class| {
            let label = Label::from_static_parts("class", class.token());
            if classes.contains(&class) { counter(findings, Some(label)) } else { Counter::noop() }
        });
        let messages = OUTCOMES
            .map(|outcome| counter(messages, Some(Label::from_static_parts("outcome", outcome))));
        Self { messages, findings, bytes: counter(bytes, None) }
    }

    pub(in crate::inspect) fn count(&self, outcome: Outcome, report: &Report, bytes: u64) {
        self.messages[outcome as usize].increment(1);
        for finding in &report.findings {
            self.findings[finding.class as usize].increment(1);
        }
        if bytes > 0 {
            self.bytes.increment(bytes);
        }
    }
}
