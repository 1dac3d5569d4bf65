//! The process, its limits and its timeouts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{Limit, Period, Size};

/// `[server]`: the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Worker threads. 0: one for each core.
    #[schemars(range(max = 1024))]
    pub workers: u64,
    /// The name in `Via`, by which loops are found. Default: `proxyd-` and 8
    /// random hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via_name: Option<String>,
    /// The zone that this process stands in: endpoints of the same `zone` are
    /// preferred. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// How long requests and tunnels may go on after SIGTERM.
    pub drain_timeout: Period,
    /// How long after SIGTERM new connections are still taken while `/readyz`
    /// already fails, so that load balancers notice.
    pub lame_duck_interval: Period,
    /// One runtime for each worker, or one shared by all.
    pub runtime: Runtime,
    /// Whether a change of the configuration's files is a reload. Lists of names, users and
    /// certificates are watched in any case.
    pub watch: bool,
    /// How paths are normalised.
    pub path: PathRules,
    /// Whether responses to trusted proxies say in `Server-Timing` where the time
    /// went. They may pass it on to their own clients.
    pub server_timing: bool,
    /// Limits for every listener.
    pub limits: Limits,
    /// Times on the client side.
    pub timeouts: Timeouts,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            workers: 0,
            via_name: None,
            zone: None,
            drain_timeout: Period::from_secs(30),
            lame_duck_interval: Period::from_secs(0),
            runtime: Runtime::PerCore,
            watch: false,
            path: PathRules::default(),
            server_timing: true,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// How workers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// A single-threaded runtime on each worker.
    PerCore,
    /// One work-stealing runtime.
    Shared,
}

/// `[server.path]`: what matching, forwarding and every rule see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PathRules {
    /// Whether `//` becomes `/`.
    pub merge_slashes: bool,
    /// `%2F` in a path: `"reject"` answers 400, `"keep"` leaves it encoded.
    pub encoded_slash: EncodedSlash,
}

impl Default for PathRules {
    fn default() -> Self {
        Self { merge_slashes: false, encoded_slash: EncodedSlash::Reject }
    }
}

/// What becomes of `%2F`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodedSlash {
    /// 400.
    Reject,
    /// It stays as it is and separates nothing.
    Keep,
}

/// `[server.limits]`, and `limits` of a listener, which overrides it key by
/// key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Client connections at a time. Default 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub connections: Option<u64>,
    /// The same for one client: an IPv4 address or an IPv6 /64. Default 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub connections_per_client: Option<u64>,
    /// Length of the request line; longer is 414. Default 16KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_line: Option<Size>,
    /// Number of fields in a head; more is 431. Default 100, at most 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub fields: Option<u64>,
    /// Bytes of all fields together; more is 431. Default 64KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields_size: Option<Size>,
    /// Bytes of a request's content; more is 413. Default `"none"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Limit<Size>>,
    /// CONNECT tunnels at a time. Default 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnels: Option<u64>,
    /// The same for one client. Default 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnels_per_client: Option<u64>,
    /// Bytes a second that a request's content must keep up after
    /// `body_grace`; slower is 408. Default 256B.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_min_rate: Option<Limit<Size>>,
    /// Concurrent streams of an HTTP/2 connection. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65536))]
    pub h2_streams: Option<u64>,
    /// Streams that an HTTP/2 client may break off before their answer begins,
    /// less those that were answered since; one more ends the connection.
    /// Default 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub h2_resets: Option<u64>,
    /// Frames that an HTTP/2 client may send without moving anything (pings, settings, empty
    /// content); 20 a second come back. One more ends the connection. At least 50. Default 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 50))]
    pub h2_idle_frames: Option<u64>,
    /// TLS handshakes at a time; more wait, no longer than for
    /// `timeouts.handshake`. Default 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub handshakes: Option<u64>,
}

impl Limits {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `[server.timeouts]`: times on the client side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// From the first byte of a head to its last; later is 408.
    pub header: Period,
    /// For the first byte on a new connection.
    pub silent: Period,
    /// For a TLS handshake, from the connection's first byte.
    pub handshake: Period,
    /// For the next request on a connection that has had one.
    pub keep_alive: Period,
    /// How long content may be slower than `body_min_rate`.
    pub body_grace: Period,
    /// For a client that takes none of what is written to it.
    pub write: Period,
    /// For a tunnel in which nothing moves.
    pub tunnel_idle: Limit<Period>,
    /// For a tunnel in any case.
    pub tunnel_lifetime: Limit<Period>,
    /// For a request of a gateway from its head to the head of its response.
    pub total: Limit<Period>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header: Period::from_secs(10),
            silent: Period::from_secs(10),
            handshake: Period::from_secs(10),
            keep_alive: Period::from_secs(75),
            body_grace: Period::from_secs(10),
            write: Period::from_secs(30),
            tunnel_idle: Limit::At(Period::from_secs(600)),
            tunnel_lifetime: Limit::At(Period::from_secs(86_400)),
            total: Limit::Unlimited,
        }
    }
}

/// `timeouts` of `[forward]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ForwardTimeouts {
    /// Until the connection stands, name resolution included.
    pub connect: Period,
    /// From the last byte of the request to the head of the final response.
    pub first_byte: Period,
    /// Between two reads of the response's content.
    pub read_idle: Period,
}

impl Default for ForwardTimeouts {
    fn default() -> Self {
        Self {
            connect: Period::from_secs(5),
            first_byte: Period::from_secs(60),
            read_idle: Period::from_secs(60),
        }
    }
}

/// `limits` of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteLimits {
    /// Bytes of a request's content; more is 413. `"none"` lifts the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Limit<Size>>,
    /// Limits of `[[filter.rate_limits]]` that hold for this route, by their
    /// ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Vec<String>>,
    /// Limits of `[[filter.concurrency_limits]]` that hold for this route, by
    /// their ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Vec<String>>,
    /// Limits of `[[filter.bandwidth_limits]]` that hold for this route, by
    /// their ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Vec<String>>,
}

impl RouteLimits {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `timeouts` of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteTimeouts {
    /// As in `[upstreams.NAME.timeouts]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<Period>,
    /// As in `[upstreams.NAME.timeouts]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Period>,
    /// As in `[upstreams.NAME.timeouts]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_idle: Option<Period>,
    /// For the whole request, as in `[server.timeouts]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Limit<Period>>,
}

impl RouteTimeouts {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
