//! What rate limits count.

use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

use super::table::Place;

/// Requests that a limit counted; labels `limit` and `outcome` (`allowed`, `limited`, `reported`).
pub const REQUESTS: &str = "proxy_filter_rate_limit_requests_total";
/// Keys that have a place in the table of a limit, also those that owe nothing any more and lose
/// it when it is needed; label `limit`.
pub const KEYS: &str = "proxy_filter_rate_limit_keys";
/// Keys that lost their place, and their debt, to another; label `limit`. More than a few say that
/// the table is too small.
pub const EVICTIONS: &str = "proxy_filter_rate_limit_evictions_total";

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allowed,
    Limited,
    Reported,
}

const OUTCOMES: [&str; 3] = ["allowed", "limited", "reported"];

#[derive(Default)]
pub(crate) struct RateMetrics {
    exported: Option<Box<Exported>>,
}

struct Exported {
    outcomes: [Counter; 3],
    keys: Gauge,
    evictions: Counter,
}

impl RateMetrics {
    pub(crate) fn new(recorder: &dyn Recorder, id: &str) -> Self {
        let count = Some(Unit::Count);
        let text = SharedString::const_str;
        let name = KeyName::from_const_str;
        recorder.describe_counter(
            name(REQUESTS),
            count,
            text("Requests that a rate limit counted, by what became of them."),
        );
        recorder.describe_gauge(
            name(KEYS),
            count,
            text("Keys that have a place in the table of a rate limit."),
        );
        recorder.describe_counter(
            name(EVICTIONS),
            count,
            text("Keys that lost their place in the table of a rate limit while they owed."),
        );
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let limit = || Label::new("limit", id.to_owned());
        let outcomes = OUTCOMES.map(|outcome| {
            let labels = vec![limit(), Label::from_static_parts("outcome", outcome)];
            recorder.register_counter(&Key::from_parts(REQUESTS, labels), &metadata)
        });
        let keys = recorder.register_gauge(&Key::from_parts(KEYS, vec![limit()]), &metadata);
        let evictions =
            recorder.register_counter(&Key::from_parts(EVICTIONS, vec![limit()]), &metadata);
        Self { exported: Some(Box::new(Exported { outcomes, keys, evictions })) }
    }

    pub(crate) fn count(&self, outcome: Outcome) {
        if let Some(exported) = &self.exported {
            exported.outcomes[outcome as usize].increment(1);
        }
    }

    pub(crate) fn place(&self, place: Place) {
        let Some(exported) = &self.exported else { return };
        match place {
            Place::New => exported.keys.increment(1.0),
            Place::Evicted => exported.evictions.increment(1),
            Place::Kept | Place::Reused => {}
        }
    }
}
