//! What a cache counts.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

/// What became of a request, or of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Outcome {
    /// Answered with a fresh stored response.
    Hit,
    /// Answered with a stale one.
    Stale,
    /// Answered with a stored one that upstream has confirmed.
    Validated,
    /// Sent upstream: nothing usable was stored.
    Miss,
    /// Answered by another request's response.
    Collapsed,
    /// Sent upstream past the cache.
    Bypass,
    /// A response that was stored.
    Stored,
    /// A response that broke off, or did not fit.
    Unstored,
    /// Stored responses removed because of an unsafe request.
    Invalidated,
}

const OUTCOMES: usize = 9;

const TOKENS: [&str; OUTCOMES] = [
    "hit",
    "stale",
    "validated",
    "miss",
    "collapsed",
    "bypass",
    "stored",
    "unstored",
    "invalidated",
];

/// The name of the metric that counts requests; labels `route` and `outcome`.
pub const REQUESTS: &str = "proxy_cache_requests_total";
/// The name of the metric that counts responses; labels `route` and `outcome`.
pub const RESPONSES: &str = "proxy_cache_responses_total";

/// Counters of one layer.
#[derive(Debug, Default)]
pub struct CacheMetrics {
    counts: [AtomicU64; OUTCOMES],
    exported: Option<Box<[Counter; OUTCOMES]>>,
}

/// A reading of the counters of one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In the order of [`Outcome`].
    counts: [u64; OUTCOMES],
}

impl CacheMetrics {
    /// Counters that are exported by a recorder too, with the route's name.
    pub fn new(recorder: &dyn Recorder, route: &str) -> Self {
        for (name, what) in [
            (REQUESTS, "Requests that came to a cache, by what became of them."),
            (RESPONSES, "Responses that a cache stored, could not store, or removed."),
        ] {
            recorder.describe_counter(
                KeyName::from_const_str(name),
                Some(Unit::Count),
                SharedString::const_str(what),
            );
        }
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let exported = std::array::from_fn(|n| {
            let name = if n < Outcome::Stored as usize { REQUESTS } else { RESPONSES };
            let labels = vec![
                Label::new("route", route.to_owned()),
                Label::from_static_parts("outcome", TOKENS[n]),
            ];
            recorder.register_counter(&Key::from_parts(name, labels), &metadata)
        });
        Self { counts: Default::default(), exported: Some(Box::new(exported)) }
    }

    pub(crate) fn count(&self, outcome: Outcome, n: u64) {
        let outcome = outcome as usize;
        self.counts[outcome].fetch_add(n, Ordering::Relaxed);
        if let Some(exported) = &self.exported {
            exported[outcome].increment(n);
        }
    }

    /// The counts so far.
    pub fn read(&self) -> Counts {
        let counts = std::array::from_fn(|n| self.counts[n].load(Ordering::Relaxed));
        Counts { counts }
    }
}

impl Counts {
    /// How often this happened.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.counts[outcome as usize]
    }

    /// The share of requests that were answered without asking upstream, 0 to 1; none before the
    /// first request.
    pub fn hit_ratio(&self) -> Option<f64> {
        let requests: u64 = self.counts[..Outcome::Stored as usize].iter().sum();
        let hits = self.of(Outcome::Hit) + self.of(Outcome::Stale) + self.of(Outcome::Collapsed);
        (requests > 0).then(|| hits as f64 / requests as f64)
    }
}
