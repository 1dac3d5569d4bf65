//! How many requests an endpoint gets, and whose come first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{Period, Share};

/// `adaptive_concurrency` of an upstream: how many requests each endpoint has at a time follows
/// from how long it takes to answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveConcurrency {
    /// The least limit, which also holds while the least latency is measured.
    #[schemars(range(min = 1, max = 65536))]
    pub min_limit: u64,
    /// The largest limit.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_limit: u64,
    /// By how much answers may take longer than the least latency before the limit shrinks.
    pub tolerance: Share,
    /// How often the limit is decided about.
    pub window: Period,
    /// After what time the least latency is measured anew, a tenth more or less.
    pub probe_interval: Period,
    /// The answers from which it is found.
    #[schemars(range(min = 1, max = 256))]
    pub probe_requests: u64,
}

impl Default for AdaptiveConcurrency {
    fn default() -> Self {
        Self {
            min_limit: 3,
            max_limit: 1024,
            tolerance: Share::from_percent(50),
            window: Period::from_millis(100),
            probe_interval: Period::from_secs(60),
            probe_requests: 25,
        }
    }
}

/// `priority` of a route: a class, or a table with one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "\"low\", \"normal\", \"high\" or a table with a `class` or a `field`"))]
pub enum PrioritySwitch {
    /// The class of all requests.
    Class(PriorityClass),
    /// The class, and where clients may ask for another one.
    Table(Priority),
}

/// A class of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PriorityClass {
    /// The first to be shed.
    Low,
    /// What requests have.
    #[default]
    Normal,
    /// Served first, shed last.
    High,
}

/// The class of requests, and where clients may ask for another one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Priority {
    /// The class of requests that ask for none.
    pub class: PriorityClass,
    /// The field in which they ask: `"priority"`, whose urgency counts (RFC 9218), or any other,
    /// with one of the three words. Trusted proxies get what they ask for; all others may only ask
    /// for a lower class. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}
