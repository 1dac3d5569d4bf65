//! Parent proxies: other proxies through which destinations are reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Balance, Endpoint, Secret, UpstreamTls};

/// `[parents.NAME]`: a proxy through which others reach their destinations, where they name it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// `http://HOST:PORT` (absolute-form and CONNECT), `https://HOST:PORT` (the same over TLS with
    /// the parent) or `socks5://HOST:PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where it is instead while it can not be connected to: URLs of the same kind, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<String>,
    /// Several that are the same, in the place of `url` and `fallbacks`: URLs of one kind, or tables
    /// with a `url`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// Which of `endpoints` is asked. `"hash"` goes by the destination's host. Default:
    /// `"round_robin"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// Whether destinations are reached directly while none can be connected to.
    #[serde(default)]
    pub direct: bool,
    /// How `https://` parents are verified. By default by the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// A file with `name:password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Secret>,
    /// Destinations that are reached without it: names (`x.test` is itself and all below it,
    /// `*.x.test`, `=x.test`), addresses and networks. `localhost` and loopback always are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_proxy: Vec<String>,
    /// Who resolves names.
    #[serde(default)]
    pub resolve: ParentResolve,
}

/// Who resolves names of destinations behind a parent proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParentResolve {
    /// The parent: it is given names, and the guard sees no address of them.
    #[default]
    Parent,
    /// We do: the guard judges the addresses, and the parent is given one.
    Here,
}

/// The version of a PROXY protocol header that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyHeaderVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}
