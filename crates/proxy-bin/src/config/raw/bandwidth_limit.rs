//! How fast content may flow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rate_limit::LimitKey;
use crate::config::units::Size;

/// `[[filter.bandwidth_limits]]`: so many bytes of content in a second, for
/// each key. It holds for all requests and tunnels, unless a route
/// (`limits.bandwidth`) names it: then only for those routes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BandwidthLimit {
    /// Its name in metrics; no two share one.
    pub id: String,
    /// What has a rate together, as in a rate limit. Default `"connection"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<LimitKey>,
    /// Bytes a second of what clients send: the content of requests, and what
    /// goes into tunnels. Default: as fast as it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_rate: Option<Size>,
    /// Bytes a second of what clients get: the content of responses, and what
    /// comes out of tunnels. Default: as fast as it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_rate: Option<Size>,
    /// Bytes that pass at once after a pause, either way. Default: what the
    /// rate gives in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<Size>,
    /// Bits of an IPv4 address that make a client. Default 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 32))]
    pub ipv4_prefix: Option<u64>,
    /// Bits of an IPv6 address that make a client. Default 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 128))]
    pub ipv6_prefix: Option<u64>,
    /// Keys that are kept apart at a time, 32 bytes each, for each direction.
    /// Default 16384.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_777_216))]
    pub keys: Option<u64>,
}
