//! The upstream side of the gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tls::UpstreamTls;
use super::{
    AdaptiveConcurrency, Balance, CircuitBreaker, Discover, Hash, HealthCheck, Hedge, Outlier,
    ProxyHeaderVersion, Retry, Sticky,
};
use crate::config::units::{Period, Share};

/// `[upstreams.NAME]`: origin servers that serve the same thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// URLs such as `"http://127.0.0.1:3000"`, `"unix:/path"`, or tables with a `url`; all
    /// `http://` and `unix:`, or all `https://`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// Where endpoints are found instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discover: Option<Discover>,
    /// The `Host` that the endpoints see: `"client"` passes the client's on,
    /// `"upstream"` sends the endpoint's own, anything else is that name.
    #[serde(default = "client")]
    pub host: String,
    /// What is spoken: `"h1"` or `"h2"`, by ALPN over TLS and with prior
    /// knowledge in clear text.
    #[serde(default)]
    pub protocol: UpstreamProtocol,
    /// The proxy of `[parents]` through which the endpoints are reached. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Begins each connection with the client's address, in this version of the PROXY protocol.
    /// Such a connection serves one request. Default: not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyHeaderVersion>,
    /// How `https://` endpoints are verified. By default by the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// How an endpoint is chosen.
    #[serde(default)]
    pub balance: Balance,
    /// What `balance = "hash"` goes by. Default: the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
    /// A cookie by which clients come back to the endpoint they had. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// In what time an endpoint that comes back gets its full share; `"0s"`: at once.
    #[serde(default = "slow_start")]
    pub slow_start: Period,
    /// Where less than this share of the endpoints that are no backups is
    /// healthy, all of them are used. Default 0%: never.
    #[serde(default)]
    pub panic_threshold: Share,
    /// Asking endpoints how they are. Default: nobody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Leaving endpoints alone that answer badly. Default: with its defaults
    /// where there are several endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier: Option<Outlier>,
    /// How much each endpoint takes at a time. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// How many requests each endpoint has at a time follows from how long it takes. Default: it
    /// does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive_concurrency: Option<AdaptiveConcurrency>,
    /// Sending again what failed. Default: once, to another endpoint, where no
    /// connection could be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// A second attempt beside one that takes unusually long. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    /// Kept-alive connections.
    #[serde(default)]
    pub pool: Pool,
    /// Times towards each endpoint.
    #[serde(default)]
    pub timeouts: UpstreamTimeouts,
    /// Whether `/readyz` fails while no endpoint of this upstream is usable.
    #[serde(default)]
    pub required: bool,
}

fn slow_start() -> Period {
    Period::from_secs(10)
}

fn client() -> String {
    "client".to_owned()
}

/// One origin server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "a URL such as \"http://127.0.0.1:3000\" or a table with a `url`"))]
pub enum Endpoint {
    /// Only the URL.
    Url(String),
    /// The URL with more to say about it.
    Table(EndpointTable),
}

impl Endpoint {
    /// The URL as it is written.
    pub fn url(&self) -> &str {
        match self {
            Self::Url(url) => url,
            Self::Table(table) => &table.url,
        }
    }
}

/// An endpoint written as a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointTable {
    /// `http://HOST:PORT` or `https://HOST:PORT`, without a path, or `unix:/path`.
    pub url: String,
    /// Its share beside the others'; 0: it takes nothing new. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 256))]
    pub weight: Option<u64>,
    /// Whether it is used only while no other is in service. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<bool>,
    /// The zone that it stands in. Those of `server.zone` are preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// What is spoken with an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    H1,
    /// HTTP/2.
    H2,
}

/// `pool` of an upstream: its kept-alive connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pool {
    /// How long a connection may wait unused.
    pub idle_timeout: Period,
    /// How many may wait, for each endpoint.
    pub max_idle: u64,
    /// A connection older than this takes no new request. Default 10m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Period>,
    /// A connection that served this many takes no more. Default 100000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_requests: Option<u64>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            idle_timeout: Period::from_secs(60),
            max_idle: 1024,
            max_age: None,
            max_requests: None,
        }
    }
}

/// `timeouts` of an upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamTimeouts {
    /// Until the connection stands, name resolution included.
    pub connect: Period,
    /// From the last byte of the request to the head of the final response.
    pub first_byte: Period,
    /// Between two reads of the response's content.
    pub read_idle: Period,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        Self {
            connect: Period::from_secs(5),
            first_byte: Period::from_secs(60),
            read_idle: Period::from_secs(60),
        }
    }
}
