//! Groups of origin servers, and how they are spoken with.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use proxy_upstream::cluster::{AdaptiveConfig, OutlierConfig};
use proxy_upstream::dial::parent::ParentConfig;
use proxy_upstream::health::HealthCheckConfig;
use proxy_upstream::hedge::HedgeConfig;
use proxy_upstream::retry::RetryConfig;
use proxy_upstream::tls::UpstreamTls;
use proxy_upstream::{BalanceConfig, CircuitBreakerConfig, DnsEndpoints};

use super::raw;
use crate::files::Stamp;
use crate::tls::UpstreamTlsFiles;

/// TLS with an upstream.
#[derive(Clone, Debug)]
pub struct TowardsTls {
    /// What does the handshakes.
    pub tls: UpstreamTls,
    /// What it was read from.
    pub files: UpstreamTlsFiles,
    /// As they were before they were read, in the order of [`UpstreamTlsFiles::paths`].
    pub read: Vec<Stamp>,
    /// What does the handshakes instead, where that was there before a reload.
    pub kept: Arc<OnceLock<UpstreamTls>>,
}

impl TowardsTls {
    /// What does the handshakes of connections that are made from now on.
    pub fn in_use(&self) -> &UpstreamTls {
        self.kept.get().unwrap_or(&self.tls)
    }
}

/// A parent proxy.
#[derive(Clone, Debug)]
pub struct Parent {
    /// What it is, its TLS included.
    pub config: ParentConfig,
    /// TLS with it, and what that was read from.
    pub tls: Option<TowardsTls>,
}

/// A group of origin servers.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// The origin servers; at least one, but where they are found.
    pub endpoints: Vec<Endpoint>,
    /// Where they are found, if that changes.
    pub discover: Option<Discover>,
    /// The `Host` that they see.
    pub host: UpstreamHost,
    /// What is spoken with them.
    pub protocol: raw::UpstreamProtocol,
    /// TLS with them, where their URLs say so.
    pub tls: Option<TowardsTls>,
    /// The parent proxy through which they are reached.
    pub parent: Option<String>,
    /// The PROXY header by which connections begin.
    pub proxy_protocol: Option<raw::ProxyHeaderVersion>,
    /// How they share requests.
    pub balance: BalanceConfig,
    /// When one is left alone.
    pub outlier: Option<OutlierConfig>,
    /// How much each takes.
    pub circuit_breaker: Option<CircuitBreakerConfig>,
    /// How that follows from its latency, if it does.
    pub adaptive: Option<AdaptiveConfig>,
    /// What is sent again.
    pub retry: Option<RetryConfig>,
    /// When a second attempt is made.
    pub hedge: Option<HedgeConfig>,
    /// How they are checked.
    pub health_check: Option<HealthCheckConfig>,
    /// Kept-alive connections.
    pub pool: Pool,
    /// Times.
    pub timeouts: UpstreamTimeouts,
    /// Whether readiness depends on it.
    pub required: bool,
}

/// Where the endpoints of an upstream are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discover {
    /// In a file; as it was before it was read.
    File(PathBuf, Stamp),
    /// In DNS.
    Dns(DnsEndpoints),
}

/// One origin server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As it is written in a URL, with the port where one was given.
    pub authority: http::uri::Authority,
    /// A name, or an IP literal without brackets.
    pub host: String,
    /// The port; where none was given, that of the scheme.
    pub port: u16,
    /// Its socket in the file system, where it has one instead.
    pub socket: Option<PathBuf>,
    /// Its share beside the others'.
    pub weight: u32,
    /// Whether it is used only while no other is in service.
    pub backup: bool,
    /// The zone that it stands in.
    pub zone: Option<Arc<str>>,
}

/// The `Host` that origin servers see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamHost {
    /// The client's own.
    Client,
    /// The endpoint's.
    Upstream,
    /// This name.
    Name(http::HeaderValue),
}

/// Kept-alive connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// How long one may wait unused.
    pub idle_timeout: Duration,
    /// How many may wait, for each endpoint.
    pub max_idle: usize,
    /// How old one may be for a new request.
    pub max_age: Option<Duration>,
    /// How many requests one takes.
    pub max_requests: Option<u64>,
}

/// Times towards an upstream or a destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until the head of the response.
    pub first_byte: Duration,
    /// Between reads of the content.
    pub read_idle: Duration,
}
