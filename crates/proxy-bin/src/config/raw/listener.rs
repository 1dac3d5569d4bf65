//! The client side: listeners, what a forward listener opens, admin, probe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cache::CacheSwitch;
use super::compress::CompressSwitch;
use super::credentials::Credentials;
use super::inspect::InspectSwitch;
use super::intercept::Intercept;
use super::quic::Quic;
use super::server::{ForwardTimeouts, Limits};
use super::tls::ListenerTls;
use super::tunnel::{Mode, Tunnel};

/// What an address looks like.
const ADDRESS: &str = "an address such as \"127.0.0.1:8080\" or \"unix:/run/proxyd/web\"";

/// `[admin]`: the operators' listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// `ip:port` or `unix:/path`. Without an address there is no admin listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-expected" = ADDRESS))]
    pub address: Option<String>,
    /// Host names under which the admin listener may be asked, beside IP
    /// literals and `localhost`; any other is refused with 421.
    pub hosts: Vec<String>,
    /// The bearer token that every request that changes something needs.
    /// Without it one is made at start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// When its address is taken, go on without it and say so.
    pub optional: bool,
}

/// A secret is a file: it never stands in the configuration itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Path of the file, relative to the configuration file. White space
    /// around its content is ignored.
    pub file: String,
}

/// `[probe]`: health and metrics without a token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Probe {
    /// `ip:port` or `unix:/path`. Without an address there is no probe listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-expected" = ADDRESS))]
    pub address: Option<String>,
}

/// `[listeners.NAME]`: where clients connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// `ip:port` or `unix:/path`. Give this or `addresses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-expected" = ADDRESS))]
    pub address: Option<String>,
    /// Several of the same kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("items" = { "type": "string", "x-expected": ADDRESS }))]
    pub addresses: Vec<String>,
    /// `"gateway"` serves the routes, `"forward"` whatever its clients ask for.
    pub role: Role,
    /// What is spoken: `["h1", "h2"]` over TLS, where the handshake decides, and `["h1"]` in
    /// clear text, where with both the first bytes do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Vec<Protocol>>,
    /// TLS. None by default: clear text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// How QUIC, below HTTP/3, is done. Has no effect without `"h3"` in `protocols`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quic: Option<Quic>,
    /// Networks (`10.0.0.0/8`, `192.0.2.7`) whose clients are served. Empty: all.
    #[serde(default)]
    pub allow_clients: Vec<String>,
    /// Networks whose clients are refused, even if `allow_clients` has them.
    #[serde(default)]
    pub deny_clients: Vec<String>,
    /// The users. On a forward listener every request needs a name and a password (407), also where
    /// `[forward]` has them; on a gateway listener those on routes with `users` (401).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Networks of the proxies in front whose word about the client is taken.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// The one field in which a trusted proxy names the client's address:
    /// `"x-forwarded-for"`, `"forwarded"` or any other field name.
    #[serde(default = "x_forwarded_for")]
    pub client_address_from: String,
    /// Connections from `trusted_proxies` begin with a PROXY protocol header;
    /// all others are closed. Needs `trusted_proxies`.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// A forward listener that anyone on the network may use. Without it, one
    /// that is not on loopback needs `allow_clients`, `credentials` or required
    /// client certificates.
    #[serde(default)]
    pub open: bool,
    /// Keep serving a client that has closed its sending side. By default
    /// that counts as gone and its request is cancelled.
    #[serde(default)]
    pub half_close: bool,
    /// Overrides `[server.limits]`, key by key.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

fn x_forwarded_for() -> String {
    "x-forwarded-for".to_owned()
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// In front of origin servers that the operator names: routes apply.
    Gateway,
    /// In front of clients, towards whatever they ask for.
    Forward,
}

/// A protocol spoken with clients.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1 and HTTP/1.0.
    H1,
    /// HTTP/2; in clear text with prior knowledge.
    H2,
    /// HTTP/3, on the same port of UDP. Needs `tls`, and one of the others beside it.
    H3,
}

/// `[forward]`: what clients of the forward listeners may reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Forward {
    /// Ports that CONNECT may name.
    pub connect_ports: Vec<Port>,
    /// Ports that an `http://` target may name: 80, 443 and 1024-65535 less
    /// the ports that browsers refuse.
    pub http_ports: Vec<Port>,
    /// Opens loopback, private (RFC 1918), unique local and carrier-grade NAT
    /// destinations. Link-local, multicast and unspecified ones stay closed.
    pub allow_private_destinations: bool,
    /// Waivers from the destination guard, by name (`intranet.test`: itself
    /// and all below it) or network (`10.20.0.0/16`).
    pub allow_destinations: Vec<String>,
    /// `"report"`: the destination guard refuses nothing but our own listeners,
    /// and records what it would refuse. For trying it out.
    pub guard: Mode,
    /// When not empty, every other destination name is refused. `x.test` is
    /// itself and all below it, `*.x.test` only what is below, `=x.test` exact;
    /// `"@file"` takes the names of a file.
    pub only_domains: Vec<String>,
    /// The users of every forward listener that has none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// The proxy of `[parents]` through which destinations are reached. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Whether requests are told who asked: adds `Forwarded`,
    /// `X-Forwarded-*`, `X-Request-Id` and `traceparent`.
    pub forwarded: bool,
    /// Store responses: `true`, `false`, or a table of keys that stand in the
    /// place of those of `[cache]`. Default false. Tunnels are never stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSwitch>,
    /// What a client may begin a tunnel with.
    pub tunnel: Tunnel,
    /// Whose TLS is opened inside of tunnels. Default: nobody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intercept: Option<Intercept>,
    /// Compress responses: `true`, `false`, or a table of keys that stand in the place of those of
    /// `[compress]`. Default false. What is in tunnels is left alone, unless it is intercepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compress: Option<CompressSwitch>,
    /// Inspect requests, as in a route. Default false. What is in a tunnel is
    /// seen only where it is intercepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspect: Option<InspectSwitch>,
    /// Times towards the destinations.
    pub timeouts: ForwardTimeouts,
}

impl Default for Forward {
    fn default() -> Self {
        Self {
            connect_ports: vec![Port::One(443)],
            http_ports: super::super::defaults::http_ports(),
            allow_private_destinations: false,
            allow_destinations: Vec::new(),
            guard: Mode::Enforce,
            only_domains: Vec::new(),
            parent: None,
            credentials: None,
            forwarded: false,
            cache: None,
            tunnel: Tunnel::default(),
            intercept: None,
            compress: None,
            inspect: None,
            timeouts: ForwardTimeouts::default(),
        }
    }
}

/// A port or a range of ports: `443` or `"8000-8099"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "a port number or a range such as \"8000-8099\""))]
pub enum Port {
    /// One port.
    One(u16),
    /// From the first to the last, both included.
    Range(String),
}
