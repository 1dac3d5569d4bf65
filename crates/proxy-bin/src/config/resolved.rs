//! The configuration as the proxy works with it: addresses, networks and
//! patterns read, names checked, defaults filled in.

mod buffer;
mod cache;
mod compress;
mod credentials;
mod filter;
mod input;
mod inspect;
mod intercept;
mod privacy;
mod rate_limit;
mod traffic;
mod upstream;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;
use proxy_core::{NamePattern, OpeningLimits};
use proxy_observe::access_log::SyslogAddress;
use proxy_server::tls::TlsEdge;
use proxy_upstream::buffer::BufferConfig;
use proxy_upstream::priority::PriorityRules;
use proxy_upstream::tls::UpstreamTls;

pub use buffer::Buffer;
pub use cache::{CacheDisk, CachePolicy, CacheQuery, CacheStores, CacheTtl};
pub use compress::{CompressLimits, CompressPolicy};
pub use credentials::Credentials;
pub use filter::{Filter, ListFile};
pub use input::Input;
pub use inspect::InspectPolicy;
pub use intercept::Intercept;
pub use privacy::{AuditLog, Privacy};
pub use rate_limit::{BandwidthLimit, ConcurrencyLimit, Holds, RateLimit};
pub use traffic::{ForwardAuth, Mirror, Split};
pub use upstream::{
    Discover, Endpoint, Parent, Pool, TowardsTls, Upstream, UpstreamHost, UpstreamTimeouts,
};

use super::definitions::Definitions;
use super::raw;
use super::units::{Limit, Size};
use crate::extensions::Installed;
use crate::files::Stamp;
use crate::routes::RouteTable;
use crate::tls::TlsFiles;

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The operators' listener, if there is one.
    pub admin: Option<Admin>,
    /// The address of the listener for probes, if there is one.
    pub probe: Option<Address>,
    /// Where clients connect, in the order of the names.
    pub listeners: Vec<Listener>,
    /// What clients of the forward listeners may reach.
    pub forward: Forward,
    /// The parent proxies, by name.
    pub parents: BTreeMap<String, Parent>,
    /// The groups of origin servers, by name.
    pub upstreams: BTreeMap<String, Upstream>,
    /// The routes, compiled.
    pub table: Arc<RouteTable>,
    /// What else the routes say, in the order of the table:
    /// [`index`](crate::routes::Route::index) leads here.
    pub routes: Vec<Route>,
    /// Runs of programs at a time, of all routes together.
    pub exec_runs: Option<usize>,
    /// Where URLs of parameters lead that are fetched; `None` where none is.
    pub exec_fetch: Option<ExecFetch>,
    /// Where responses are kept; none where no route and no forward role keeps any.
    pub cache: Option<CacheStores>,
    /// Where content that is held is spilled to; none where no route holds any.
    pub buffer: Option<Buffer>,
    /// How often may be asked, in the order of the file.
    pub rate_limits: Vec<RateLimit>,
    /// What compressing may take of the machine.
    pub compress: CompressLimits,
    /// What is let through.
    pub filter: Filter,
    /// How many at a time, in the order of the file.
    pub concurrency_limits: Vec<ConcurrencyLimit>,
    /// How fast content may flow.
    pub bandwidth_limits: Vec<BandwidthLimit>,
    /// What requests may look like, if anything is said about it.
    pub input: Option<Input>,
    /// The access log, if there is one.
    pub access_log: Option<AccessLog>,
    /// Further access logs, by name.
    pub more_logs: BTreeMap<String, AccessLog>,
    /// The audit log, if there is one.
    pub audit_log: Option<AuditLog>,
    /// What every sink shows of clients.
    pub privacy: Privacy,
    /// Whether metrics are kept.
    pub metrics: bool,
    /// The traces, if they are recorded.
    pub traces: Option<Traces>,
    /// The process.
    pub server: Server,
    /// What defines each part of it.
    pub definitions: Definitions,
    /// Layers of others.
    pub extensions: Installed,
}

/// Where something listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// Whether only this machine can connect.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The operators' listener.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens.
    pub address: Address,
    /// Host names under which it may be asked, beside IP literals and
    /// `localhost`; in lower case.
    pub hosts: Vec<String>,
    /// The configured token; without one the process makes one.
    pub token: Option<Token>,
    /// Whether the process goes on without it when its address is taken.
    pub optional: bool,
}

/// A secret: it shows itself only when asked by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Where clients connect.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Where it listens; at least one.
    pub addresses: Vec<Address>,
    /// What it is for.
    pub role: raw::Role,
    /// Whether HTTP/1 is spoken.
    pub h1: bool,
    /// Whether HTTP/2 is spoken; in clear text with prior knowledge.
    pub h2: bool,
    /// TLS, where it is spoken.
    pub tls: Option<ListenerTls>,
    /// QUIC, where HTTP/3 is spoken.
    pub quic: Option<ListenerQuic>,
    /// Whose clients are served; empty: all.
    pub allow_clients: Vec<IpNet>,
    /// Whose clients are refused all the same.
    pub deny_clients: Vec<IpNet>,
    /// The users: of a forward listener for every request, of a gateway for routes that ask.
    pub credentials: Option<Credentials>,
    /// The proxies in front whose word is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// The one field in which they name the client.
    pub client_address_from: http::HeaderName,
    /// Whether connections from `trusted_proxies` begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Whether anyone may use a forward listener.
    pub open: bool,
    /// Whether a client that closed its sending side is still served.
    pub half_close: bool,
    /// Its limits, the server's where it has none of its own.
    pub limits: Limits,
}

/// Limits of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections at a time.
    pub connections: usize,
    /// The same for one client (IPv4 address or IPv6 /64).
    pub connections_per_client: usize,
    /// Bytes of the request line.
    pub request_line: usize,
    /// Number of fields.
    pub fields: usize,
    /// Bytes of all fields.
    pub fields_size: usize,
    /// Bytes of a request's content.
    pub body: Option<u64>,
    /// Tunnels at a time.
    pub tunnels: usize,
    /// The same for one client.
    pub tunnels_per_client: usize,
    /// Bytes a second after the grace.
    pub body_min_rate: Option<u64>,
    /// Concurrent streams of an HTTP/2 connection.
    pub h2_streams: u32,
    /// Streams that an HTTP/2 client may break off unanswered.
    pub h2_resets: u32,
    /// Frames that an HTTP/2 client may send without moving anything.
    pub h2_idle_frames: u32,
    /// TLS handshakes at a time.
    pub handshakes: usize,
}

/// TLS of a listener.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// Its files.
    pub files: TlsFiles,
    /// As they were before they were read, in the order of [`TlsFiles::paths`].
    pub read: Vec<Stamp>,
    /// What does handshakes with what was in them.
    pub edge: Arc<TlsEdge>,
    /// `Strict-Transport-Security` of responses.
    pub hsts: Option<HeaderValue>,
}

/// QUIC of a listener.
#[derive(Clone)]
pub struct ListenerQuic {
    /// For how many seconds clients may count on it; nobody is told where there is nothing.
    pub advertise: Option<u64>,
    /// Whether every client must show that its address is its own.
    pub always_retry: bool,
    /// What its keys are made from.
    pub secret: Option<Arc<[u8]>>,
}

impl std::fmt::Debug for ListenerQuic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListenerQuic").field("advertise", &self.advertise).finish_non_exhaustive()
    }
}

/// Where URLs of programs' parameters may lead.
#[derive(Clone, Debug)]
pub struct ExecFetch {
    /// Names for which private destinations are open.
    pub allow_names: Vec<NamePattern>,
    /// Networks that are open whatever they are.
    pub allow_networks: Vec<IpNet>,
    /// The parent proxy through which they are reached.
    pub parent: Option<String>,
    /// How servers of `https` URLs are verified.
    pub tls: UpstreamTls,
}

/// What clients of the forward listeners may reach.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Ports that CONNECT may name.
    pub connect_ports: Ports,
    /// Ports that an `http://` target may name.
    pub http_ports: Ports,
    /// Whether loopback, private, unique local and CGNAT destinations are open.
    pub allow_private_destinations: bool,
    /// Names for which they are open.
    pub allow_names: Vec<NamePattern>,
    /// Networks that are open whatever they are.
    pub allow_networks: Vec<IpNet>,
    /// Whether the guard refuses, or only reports.
    pub guard: raw::Mode,
    /// Whether requests are told who asked.
    pub forwarded: bool,
    /// How responses are kept, if they are.
    pub cache: Option<CachePolicy>,
    /// What tunnels may begin with.
    pub tunnel: Tunnel,
    /// Whose TLS is opened, where anybody's is.
    pub intercept: Option<Intercept>,
    /// The parent proxy through which destinations are reached.
    pub parent: Option<String>,
    /// How responses are compressed, if they are.
    pub compress: Option<CompressPolicy>,
    /// How requests and responses are inspected, if they are.
    pub inspect: Option<InspectPolicy>,
    /// Times towards destinations.
    pub timeouts: UpstreamTimeouts,
}

/// What a client may begin a tunnel with.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// What is asked of server names.
    pub sni: raw::ServerNames,
    /// Ports to which a tunnel must be TLS.
    pub require_tls_ports: Ports,
    /// What becomes of an encrypted ClientHello.
    pub encrypted_hello: raw::EncryptedHello,
    /// What becomes of a silent tunnel.
    pub on_silence: raw::OnSilence,
    /// Whether it refuses, or only reports.
    pub mode: raw::Mode,
    /// How long and how much is waited for.
    pub limits: OpeningLimits,
}

/// A set of ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports(Vec<RangeInclusive<u16>>);

impl Ports {
    /// Whether a port is in it.
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }

    /// The ranges, as they were given.
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.0
    }
}

impl FromIterator<RangeInclusive<u16>> for Ports {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u16>>>(ranges: I) -> Self {
        Self(ranges.into_iter().collect())
    }
}

/// What a route says beside what the table has.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// The users who are served; `None`: nobody is asked.
    pub users: Option<Vec<String>>,
    /// Bytes of a request's content; `None`: as the listener says.
    pub body: Option<Limit<Size>>,
    /// Times towards its upstream, the upstream's where it has none of its
    /// own; `None` where it has no upstream.
    pub timeouts: Option<UpstreamTimeouts>,
    /// For a request as a whole, the server's where it has none of its own.
    pub total: Option<Duration>,
    /// How its responses are kept, if they are.
    pub cache: Option<CachePolicy>,
    /// How they are compressed, if they are.
    pub compress: Option<CompressPolicy>,
    /// How requests and responses are inspected, if they are.
    pub inspect: Option<InspectPolicy>,
    /// The program that answers, if one does.
    pub exec: Option<proxy_exec::ExecConfig>,
    /// Who is asked whether a request may pass.
    pub forward_auth: Option<ForwardAuth>,
    /// Requests that go to other upstreams.
    pub split: Option<Split>,
    /// Who gets copies of what goes to its upstream.
    pub mirror: Option<Mirror>,
    /// What of its content is held.
    pub buffer: Option<BufferConfig>,
    /// The class of its requests, where anything is said about it.
    pub priority: Option<PriorityRules>,
}

impl Route {
    /// Whether who asks decides whether it is served.
    pub fn asks_who(&self) -> bool {
        self.users.is_some() || self.forward_auth.is_some()
    }
}

/// An access log.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// How a line looks.
    pub format: raw::LogFormat,
    /// The same of the format `template`.
    pub template: Option<proxy_observe::LogTemplate>,
    /// Where it goes.
    pub target: LogTarget,
    /// When its file is put away.
    pub rotate: Option<proxy_observe::access_log::Rotation>,
    /// The share of everyday requests that have a line.
    pub sample: f64,
    /// From where on a request is slow.
    pub slow_threshold: Option<Duration>,
    /// Bytes of lines in memory.
    pub queue_size: usize,
    /// Of which routes it has lines.
    pub routes: proxy_observe::LogRoutes,
    /// What happens when it does not keep up.
    pub on_full: raw::OnFull,
    /// Whether it shows who asked.
    pub users: bool,
}

/// The traces, and the collector that gets them.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// The collector's URL.
    pub endpoint: http::Uri,
    /// Its host, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The share that is recorded.
    pub share: f64,
    /// Whose word on that is taken.
    pub parent: proxy_observe::traces::ParentSampling,
    /// `service.name`.
    pub service: Arc<str>,
    /// How often spans are sent.
    pub interval: Duration,
    /// How long the collector may take.
    pub timeout: Duration,
    /// Spans that wait at most.
    pub queue: usize,
}

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// To standard output.
    Stdout,
    /// To the end of this file.
    File(PathBuf),
    /// To a syslog (RFC 5424).
    Syslog(proxy_observe::access_log::SyslogAddress),
    /// To the journal of systemd.
    Journal,
}

impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("-"),
            Self::File(path) => path.display().fmt(f),
            Self::Syslog(SyslogAddress::Unix(path)) => write!(f, "syslog:unix:{}", path.display()),
            Self::Syslog(SyslogAddress::Udp(address)) => write!(f, "syslog:udp:{address}"),
            Self::Journal => f.write_str("journald:"),
        }
    }
}

/// The process.
#[derive(Clone, Debug)]
pub struct Server {
    /// Worker threads; `None`: one for each core.
    pub workers: Option<usize>,
    /// The name in `Via`; `None`: one is made at start.
    pub via_name: Option<String>,
    /// The zone that it stands in.
    pub zone: Option<Arc<str>>,
    /// How long requests may go on after SIGTERM.
    pub drain_timeout: Duration,
    /// How long readiness fails before draining begins.
    pub lame_duck_interval: Duration,
    /// How workers run.
    pub runtime: raw::Runtime,
    /// Whether a change of its files is a reload.
    pub watch: bool,
    /// Whether `//` in a path becomes `/`.
    pub merge_slashes: bool,
    /// What becomes of `%2F` in a path.
    pub encoded_slash: raw::EncodedSlash,
    /// Whether trusted peers are told where the time went.
    pub server_timing: bool,
    /// Limits, for what no listener says.
    pub limits: Limits,
    /// Times on the client side.
    pub timeouts: Timeouts,
}

/// Times on the client side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a head to its last.
    pub header: Duration,
    /// For the first byte on a new connection.
    pub silent: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For the next request.
    pub keep_alive: Duration,
    /// How long content may be slower than its minimum rate.
    pub body_grace: Duration,
    /// For a client that takes nothing.
    pub write: Duration,
    /// For a tunnel in which nothing moves.
    pub tunnel_idle: Option<Duration>,
    /// For a tunnel in any case.
    pub tunnel_lifetime: Option<Duration>,
    /// For a request as a whole.
    pub total: Option<Duration>,
}
