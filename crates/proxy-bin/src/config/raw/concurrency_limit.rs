//! How many requests at a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rate_limit::{LimitKey, LimitMode};
use crate::config::units::Period;

/// `[[filter.concurrency_limits]]`: so many requests at a time, for each key.
/// It holds for all requests, unless a route (`limits.concurrency`) names it:
/// then only for those.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencyLimit {
    /// Its name in refusals, logs and metrics; no two share one.
    pub id: String,
    /// What is counted together, as in a rate limit. Default `"client"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<LimitKey>,
    /// Requests at a time, from their head to the end of the answer.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: u64,
    /// How many more wait in line, for each key. Default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000))]
    pub queue: Option<u64>,
    /// How long one waits. Default 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<Period>,
    /// `"enforce"` (default), or `"report"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<LimitMode>,
    /// Bits of an IPv4 address that make a client. Default 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 32))]
    pub ipv4_prefix: Option<u64>,
    /// Bits of an IPv6 address that make a client. Default 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 128))]
    pub ipv6_prefix: Option<u64>,
}
