//! What concurrency limits count.

use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

/// Requests that a limit counted; labels `limit` and `outcome`: `admitted` at once, `waited` in line
/// and admitted, `refused`, `reported`.
pub const REQUESTS: &str = "proxy_filter_concurrency_requests_total";
/// Places that are taken; label `limit`.
pub const IN_USE: &str = "proxy_filter_concurrency_in_use";
/// Requests that wait in line; label `limit`.
pub const WAITING: &str = "proxy_filter_concurrency_waiting";

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Admitted,
    Waited,
    Refused,
    Reported,
}

const OUTCOMES: [&str; 4] = ["admitted", "waited", "refused", "reported"];

#[derive(Default)]
pub(crate) struct ConcurrencyMetrics {
    exported: Option<Exported>,
}

struct Exported {
    outcomes: [Counter; 4],
    in_use: Gauge,
    waiting: Gauge,
}

impl ConcurrencyMetrics {
    pub(crate) fn new(recorder: &dyn Recorder, id: &str) -> Self {
        let count = Some(Unit::Count);
        let text = SharedString::const_str;
        recorder.describe_counter(
            KeyName::from_const_str(REQUESTS),
            count,
            text("Requests that a concurrency limit counted, by what became of them."),
        );
        for (name, what) in [
            (IN_USE, "Places of a concurrency limit that are taken."),
            (WAITING, "Requests that wait for a place of a concurrency limit."),
        ] {
            recorder.describe_gauge(KeyName::from_const_str(name), count, text(what));
        }
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let limit = || Label::new("limit", id.to_owned());
        let outcomes = OUTCOMES.map(|outcome| {
            let labels = vec![limit(), Label::from_static_parts("outcome", outcome)];
            recorder.register_counter(&Key::from_parts(REQUESTS, labels), &metadata)
        });
        let gauge =
            |name| recorder.register_gauge(&Key::from_parts(name, vec![limit()]), &metadata);
        let exported = Exported { outcomes, in_use: gauge(IN_USE), waiting: gauge(WAITING) };
        Self { exported: Some(exported) }
    }

    pub(crate) fn count(&self, outcome: Outcome) {
        if let Some(exported) = &self.exported {
            exported.outcomes[outcome as usize].increment(1);
        }
    }

    /// Counts one more in use, for as long as the guard lives.
    pub(crate) fn in_use(self: &Arc<Self>) -> Counted {
        Counted::begin(self, |exported| &exported.in_use)
    }

    /// Counts one more waiting, for as long as the guard lives.
    pub(crate) fn waiting(self: &Arc<Self>) -> Counted {
        Counted::begin(self, |exported| &exported.waiting)
    }
}

/// One in a gauge.
pub(crate) struct Counted {
    metrics: Arc<ConcurrencyMetrics>,
    gauge: fn(&Exported) -> &Gauge,
}

impl Counted {
    fn begin(metrics: &Arc<ConcurrencyMetrics>, gauge: fn(&Exported) -> &Gauge) -> Self {
        if let Some(exported) = &metrics.exported {
            gauge(exported).increment(1.0);
        }
        Self { metrics: Arc::clone(metrics), gauge }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(exported) = &self.metrics.exported {
            (self.gauge)(exported).decrement(1.0);
        }
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}
