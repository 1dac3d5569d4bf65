//! QUIC of listeners.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;
use crate::config::units::{Limit, Period};

/// `quic` of a listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quic {
    /// How long clients of HTTP/1 and HTTP/2 may count on HTTP/3 on the port that they asked, as
    /// `Alt-Svc` tells them; `"none"`: they are not told.
    pub advertise: Limit<Period>,
    /// When a client must show that its address is its own, which takes a round trip: `"load"`
    /// while many handshakes are under way, or `"always"`.
    pub retry: AddressRetry,
    /// File of 32 bytes or more, from which the keys of address tokens and stateless resets are
    /// made. Replicas behind one address share it. Default: random at each start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
}

impl Default for Quic {
    fn default() -> Self {
        let day = Period::from_secs(24 * 3600);
        Self { advertise: Limit::At(day), retry: AddressRetry::Load, secret: None }
    }
}

/// When addresses are validated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddressRetry {
    /// While many handshakes are under way.
    #[default]
    Load,
    /// For each connection.
    Always,
}
