//! How often may be asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Rate;

/// `[[filter.rate_limits]]`: a rate, for each key. It holds for all requests,
/// unless a route (`limits.rate`) or a rule (`limit`) names it: then only for
/// those.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Its name in refusals, logs and metrics; no two share one.
    pub id: String,
    /// What is counted together. Default `"client"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<LimitKey>,
    /// So many requests in so long: `"100/s"`, `"6000/min"`, `"1000/h"`.
    pub rate: Rate,
    /// Requests that pass at once after a pause. Default: what `rate` gives in
    /// a second, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub burst: Option<u64>,
    /// What a request takes of the burst. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub cost: Option<u64>,
    /// `"requests"` (default), or `"misses"`: only those that the cache could
    /// not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<LimitCount>,
    /// `"enforce"` (default), or `"report"`: what would be refused is recorded,
    /// and passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<LimitMode>,
    /// Tell clients how they stand, by `RateLimit-Policy` and `RateLimit`.
    /// Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<bool>,
    /// Bits of an IPv4 address that make a client. Default 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 32))]
    pub ipv4_prefix: Option<u64>,
    /// Bits of an IPv6 address that make a client. Default 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 128))]
    pub ipv6_prefix: Option<u64>,
    /// Keys that are kept apart at a time, 32 bytes each. Default 65536.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_777_216))]
    pub keys: Option<u64>,
}

/// What is counted together: one thing, or several that must all be alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "\"client\", \"user\", \"route\", \"listener\", \"connection\", \"host\", \"method\", \"field:NAME\", \"all\", or an array of them"))]
pub enum LimitKey {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// Which requests are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitCount {
    /// All.
    #[default]
    Requests,
    /// Those that go upstream.
    Misses,
}

/// Whether what is beyond a limit is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitMode {
    /// It is.
    #[default]
    Enforce,
    /// It is recorded, and passes.
    Report,
}
