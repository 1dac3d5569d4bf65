//! Endpoints that are found, and not written down.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `discover` of an upstream: where its endpoints are found. One of the three.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Discover {
    /// A file with `endpoints` as they stand in an upstream, in TOML, or in JSON by its ending;
    /// relative to the configuration file. It is read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// `http://NAME:PORT` or `https://NAME:PORT`: every address of the name is an endpoint. DNS is
    /// asked again when its answer ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<String>,
    /// `http://_SERVICE._tcp.NAME` or `https://...`: every server of the service (SRV) is an
    /// endpoint, with its port and weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srv: Option<String>,
}
