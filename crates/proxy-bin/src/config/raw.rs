//! The configuration file, key by key, as it is written.
//!
//! These types are the single source of the key names, of the JSON Schema
//! and of `config show`. Addresses, networks, patterns and templates are still
//! text here; the step called resolve turns them into what the proxy works with.

mod adaptive;
mod balance;
mod bandwidth_limit;
mod buffer;
mod cache;
mod compress;
mod concurrency_limit;
mod credentials;
mod discover;
mod exec;
mod failure;
mod filter;
mod input;
mod inspect;
mod intercept;
mod listener;
mod log;
mod parent;
mod privacy;
mod quic;
mod rate_limit;
mod route;
mod rule;
mod server;
mod tls;
mod traces;
mod traffic;
mod tunnel;
mod upstream;

pub use adaptive::{AdaptiveConcurrency, Priority, PriorityClass, PrioritySwitch};
pub use balance::{Balance, Hash, Sticky};
pub use bandwidth_limit::BandwidthLimit;
pub use buffer::{Buffer, BufferOf, BufferOnLimit, BufferRules, BufferSwitch};
pub use cache::{
    Bypass, Cache, CacheKey, CacheRules, CacheSwitch, Disk, FieldNames, OnDisconnect,
    RequestDirectives, Ttl,
};
pub use compress::{
    CodingLevels, CodingName, Compress, CompressRules, CompressSwitch, Unacceptable,
};
pub use concurrency_limit::ConcurrencyLimit;
pub use credentials::Credentials;
pub use discover::Discover;
pub use exec::{
    Bound, Exec, ExecCgroup, ExecLimits, ExecSandbox, ExecShared, ExecStderr, ExecTimeouts, Param,
    ParamDefault, ParamSource, ParamType,
};
pub use failure::{CircuitBreaker, HealthCheck, HealthField, Hedge, Outlier, Retry, RetryOn};
pub use filter::{Filter, FilterDefault};
pub use input::{Input, InputJson};
pub use inspect::{
    Exclusion, FileKind, Inspect, InspectMode, InspectResponse, InspectRules, InspectSwitch,
    OnLimit,
};
pub use intercept::Intercept;
pub use listener::{Admin, Forward, Listener, Port, Probe, Protocol, Role, Secret};
pub use log::{AccessLog, Log, LogFormat, LogSwitch, Metrics, OnFull, Rotate};
pub use parent::{Parent, ParentResolve, ProxyHeaderVersion};
pub use privacy::{AuditFsync, AuditLog, AuditOnFull, ClientAddress, Privacy, PrivacySinks};
pub use quic::{AddressRetry, Quic};
pub use rate_limit::{LimitCount, LimitKey, LimitMode, RateLimit};
pub use route::{
    Defaults, FieldEdits, FieldMatch, Match, PathPattern, Redirect, Respond, Rewrite, Route,
    Scheme, ValuePattern,
};
pub use rule::{Rule, RuleAction, RuleMatch, RuleMode};
pub use server::{
    EncodedSlash, ForwardTimeouts, Limits, PathRules, RouteLimits, RouteTimeouts, Runtime, Server,
    Timeouts,
};
pub use tls::{
    CertificateFiles, ClientCertificateMode, ClientCertificates, Hsts, ListenerTls, TlsVersion,
    UnknownNames, UpstreamTls,
};
pub use traces::{TraceParent, Traces};
pub use traffic::{ForwardAuth, ForwardAuthSwitch, Mirror, Split, SplitArm};
pub use tunnel::{EncryptedHello, Mode, OnSilence, ServerNames, Tunnel};
pub use upstream::{Endpoint, EndpointTable, Pool, Upstream, UpstreamProtocol, UpstreamTimeouts};

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A whole configuration: what the main file and everything it includes say,
/// with the environment and the command line laid over it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// More files, as glob patterns relative to the file that names them.
    /// Their `[[routes]]` are appended in the order of the file names; any
    /// other key may be set in one file only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// The listener that operators use: health, metrics, reload. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<Admin>,
    /// A listener that has only `/livez`, `/readyz` and `/metrics`, without a
    /// token, for kubelets and load balancers. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// Where clients connect, by name.
    pub listeners: BTreeMap<String, Listener>,
    /// What clients of the forward listeners may reach.
    pub forward: Forward,
    /// Other proxies through which destinations are reached, by name; `[forward]` and upstreams
    /// name one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parents: BTreeMap<String, Parent>,
    /// Groups of origin servers behind the gateway, by name.
    pub upstreams: BTreeMap<String, Upstream>,
    /// What the gateway listeners serve; the first route that matches wins.
    pub routes: Vec<Route>,
    /// What the programs of all routes share; `exec` of a route names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecShared>,
    /// Where responses are kept, and how; `cache` of a route says whether.
    pub cache: Cache,
    /// How content is held for slow clients; `buffer` of a route says whether.
    #[serde(skip_serializing_if = "Buffer::is_default")]
    pub buffer: Buffer,
    /// Who may ask for what, and how often.
    #[serde(skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
    /// How responses are compressed; `compress` of a route says whether.
    pub compress: Compress,
    /// What every sink shows of clients.
    pub privacy: Privacy,
    /// What is written about the requests.
    pub log: Log,
    /// Counters for Prometheus.
    pub metrics: Metrics,
    /// Spans for a collector. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces: Option<Traces>,
    /// The process, its limits and its timeouts.
    pub server: Server,
    /// What a route says when it says nothing.
    pub defaults: Defaults,
    /// Layers of others, by the name that a program has registered each under. What is in each table
    /// is up to the layer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, serde_json::Value>,
}
