//! What an upstream does about endpoints that fail.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{Period, Share, Size};

/// `health_check` of an upstream: asking its endpoints how they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheck {
    /// What is asked for, such as `"/healthz"`. Without it a connection is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The method. Default GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The `Host`. Default: the upstream's `host` where that is a name, else the endpoint's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The port. Default: the endpoint's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u64>,
    /// From the end of one check to the next, a tenth more or less.
    pub interval: Period,
    /// How long a check may take.
    pub timeout: Period,
    /// Checks that pass in a row before an endpoint that was down is back.
    #[schemars(range(min = 1, max = 1000))]
    pub healthy_after: u64,
    /// Checks that fail in a row before an endpoint is down.
    #[schemars(range(min = 1, max = 1000))]
    pub unhealthy_after: u64,
    /// The statuses of a healthy endpoint. Default: all of 200 to 399.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statuses: Option<Vec<u64>>,
    /// A field that the answer must have, and what its value must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<HealthField>,
    /// What the first 64 KiB of the content must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            path: None,
            method: None,
            host: None,
            port: None,
            interval: Period::from_secs(5),
            timeout: Period::from_secs(2),
            healthy_after: 2,
            unhealthy_after: 3,
            statuses: None,
            field: None,
            content: None,
        }
    }
}

/// A field of the answer to a check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthField {
    /// Its name.
    pub name: String,
    /// What its value must contain.
    pub contains: String,
}

/// `outlier` of an upstream: endpoints that answer badly are left alone for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Outlier {
    /// Failures in a row that eject; 0: they never do.
    #[schemars(range(max = 1_000_000))]
    pub consecutive_failures: u64,
    /// The share of failures within `window` that ejects. Default: none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_share: Option<Share>,
    /// In what time requests are counted for `failure_share` and `latency_factor`.
    pub window: Period,
    /// Requests in a window before its share, or the latency, counts.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_requests: u64,
    /// So many times the median latency of the others in service ejects. Default: none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 1000))]
    pub latency_factor: Option<u64>,
    /// How long the first ejection lasts; each further one as much longer.
    pub eject_for: Period,
    /// How long an ejection may last.
    pub max_eject_for: Period,
    /// The share of endpoints that may be ejected at a time; at least one, never the last
    /// one in service.
    pub max_ejected: Share,
    /// Statuses that are a failure, beside no answer at all.
    pub statuses: Vec<u64>,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_share: None,
            window: Period::from_secs(10),
            min_requests: 20,
            latency_factor: None,
            eject_for: Period::from_secs(30),
            max_eject_for: Period::from_secs(300),
            max_ejected: Share::from_percent(50),
            statuses: vec![502, 503, 504],
        }
    }
}

/// What a retry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// The connection could not be made.
    Connect,
    /// The connection ended before the head of the response.
    Reset,
    /// The answer took too long.
    Timeout,
}

/// `hedge` of an upstream: a second attempt beside one that takes unusually
/// long, for requests with a safe method and without content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hedge {
    /// The share of answers that come sooner than a second attempt is made.
    pub percentile: Share,
    /// No second attempt is made sooner.
    pub min_delay: Period,
    /// Second attempts, as a share of the answers.
    pub budget: Share,
}

impl Default for Hedge {
    fn default() -> Self {
        Self {
            percentile: Share::from_percent(95),
            min_delay: Period::from_millis(10),
            budget: Share::from_percent(5),
        }
    }
}

/// `retry` of an upstream: what failed is sent again, where that is safe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// How often a request may be sent again.
    #[schemars(range(max = 7))]
    pub retries: u64,
    /// For what, of `"connect"`, `"reset"` and `"timeout"`.
    pub on: Vec<RetryOn>,
    /// Statuses for which it is sent again, such as `[502, 503]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<u64>,
    /// How long one attempt may take, from the end of the request to the
    /// response's head. Default: as long as `timeouts` say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_timeout: Option<Period>,
    /// Before the second retry a random part of this passes; it doubles with each further one.
    pub backoff: Period,
    /// The longest pause, also where a response's `Retry-After` asks for one.
    pub max_backoff: Period,
    /// Retries as a share of requests that succeed; beside these there are ten every ten seconds.
    pub budget: Share,
    /// Streamed content that is kept to be sent again.
    pub body: Size,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            retries: 1,
            on: vec![RetryOn::Connect, RetryOn::Reset],
            statuses: Vec::new(),
            attempt_timeout: None,
            backoff: Period::from_millis(25),
            max_backoff: Period::from_secs(1),
            budget: Share::from_percent(20),
            body: Size::from_bytes(64 * 1024),
        }
    }
}

/// `circuit_breaker` of an upstream: how much each endpoint takes at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CircuitBreaker {
    /// Connections to an endpoint. Requests beyond it wait for one.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: u64,
    /// Requests under way at an endpoint. Default: no limit of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_requests: Option<u64>,
    /// Requests that may wait, for each endpoint; more get 503.
    #[schemars(range(max = 1_000_000))]
    pub max_pending: u64,
    /// How long a request may wait; then it gets 503.
    pub pending_timeout: Period,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_requests: None,
            max_pending: 1024,
            pending_timeout: Period::from_secs(1),
        }
    }
}
