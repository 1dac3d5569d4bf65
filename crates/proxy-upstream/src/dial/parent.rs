//! Parent proxies: how a destination is reached through another proxy.
//!
//! A [`Parent`] is an HTTP proxy or a SOCKS5 server (RFC 1928) that a [`Dialer`](super::Dialer)
//! connects to instead of the destination, and then asks for it: with CONNECT
//! (RFC 9110 section 9.3.6), or with SOCKS. `http` requests go to an HTTP proxy in absolute-form
//! (RFC 9112 section 3.2.2), without a tunnel.
//!
//! # Who judges what
//! A destination that is an address is judged by the guard before the parent hears of it. A name is
//! not resolved here by default, so the guard sees no address: what it leads to is the parent's
//! affair, but for `localhost` and its like, which are never asked of a parent. With
//! [`resolve`](ParentConfig::resolve) a name is resolved and judged here, and the parent is given
//! the address that was judged. Host names go on in their normal form: what we judged is what the
//! parent reads. The parent's own address is the operator's: only our own listeners are refused.
//!
//! # Several
//! A parent may be several servers, its [places](ParentConfig::places). Which is asked a
//! [balancer](ParentConfig::balance) says: the first that is there, one after the other, the same for
//! each destination. One that can not be connected to is left alone for
//! 10 s, each time in a row longer, up to a minute, and the next is asked: each but the last has 2 s,
//! or an equal part of the time that is left to connect where that is less. So is the next where one
//! goes away, speaks nonsense, or is silent for its part of the time, while it is asked. One that is there and refuses is not passed over.
//! Those that are left alone are tried last. Where none can be connected to, destinations are reached
//! [directly](ParentConfig::direct) only if that is wanted. One that does not prove who it is ends the
//! search: nobody is passed over for a forged certificate.
//!
//! # TLS
//! With [`tls`](ParentConfig::tls) the connection to an HTTP proxy is encrypted, and the proxy
//! verified. Credentials and names of destinations are then nobody's but the parent's; what goes
//! through a tunnel to an `https` destination is TLS within TLS.
//!
//! # Errors and responses
//! What connecting to the parent comes to. `connection_refused` where it refuses or can not reach
//! the destination, `connection_timeout` where it says so, `proxy_configuration_error` where it
//! asks for other credentials, `http_protocol_error` where it speaks something else,
//! `connection_terminated` where it goes away. Nothing of a request was sent in any of these cases.

mod config;
mod connect;
mod meters;
mod places;
mod socks;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use metrics::Recorder;
use proxy_core::deadline::from_now;
use proxy_core::{ErrorKind, ProxyError, Retry};

use super::DialedStream;
use crate::cluster::{Cluster, Permit};
use crate::forward::Means;
use crate::guard::HostKind;
use meters::{Meters, Outcome};
use tokio::time::Instant;

pub use config::{ParentConfig, ParentCredentials, ParentKind, ParentPlace};
pub(crate) use places::Search;

/// The name in decisions.
pub(crate) const LAYER: &str = "parent";

/// The `Via` of a request, in the record of its exchange: a parent is told of it with CONNECT, so
/// that proxies which are each other's parents notice.
#[derive(Clone, Debug)]
pub struct PassedVia(pub HeaderValue);

/// See the [module](self). A clone is the same.
#[derive(Clone)]
pub struct Parent {
    shared: Arc<Shared>,
}

struct Shared {
    config: ParentConfig,
    basic: Option<HeaderValue>,
    meters: Meters,
    /// Its places.
    cluster: Arc<Cluster>,
    /// Until when nobody tries it, where destinations are reached directly instead.
    left_alone: Mutex<Option<Instant>>,
}

/// Where the parent shall connect to, in its one spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beyond<'a> {
    pub(super) host: HostKind<'a>,
    pub(super) port: u16,
}

impl fmt::Display for Beyond<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostKind::Name(name) => write!(f, "{name}:{}", self.port),
            HostKind::Address(ip) => std::net::SocketAddr::new(*ip, self.port).fmt(f),
        }
    }
}

impl Parent {
    /// A parent, which counts in the recorder, if there is one. Time is the system's, and chance the
    /// same in every process.
    pub fn new(config: ParentConfig, recorder: Option<&dyn Recorder>) -> Self {
        Self::with(config, &Means { recorder, ..Means::default() })
    }

    /// The same, with means of one's own.
    pub fn with(config: ParentConfig, means: &Means<'_>) -> Self {
        let basic = config.credentials.as_ref().and_then(ParentCredentials::basic);
        let meters = Meters::new(&config.name, means.recorder);
        let cluster = Arc::new(places::cluster(&config, means));
        let left_alone = Mutex::default();
        Self { shared: Arc::new(Shared { config, basic, meters, cluster, left_alone }) }
    }

    /// What it was made of.
    pub fn config(&self) -> &ParentConfig {
        &self.shared.config
    }

    /// Whether a destination is reached through it.
    pub(super) fn is_for(&self, host: &HostKind<'_>) -> bool {
        let config = self.config();
        match host {
            HostKind::Name(name) => {
                crate::resolve::special_use(name).is_none() && !config.bypass_names.contains(name)
            }
            HostKind::Address(ip) => {
                let ip = ip.to_canonical();
                let networks = &config.bypass_networks;
                !ip.is_loopback()
                    && !ip.is_unspecified()
                    && !networks.iter().any(|network| network.contains(&ip))
                    && !config.bypass_names.contains(&ip.to_string())
            }
        }
    }

    /// Whether `http` requests go to it in absolute-form.
    pub(crate) fn takes_requests(&self) -> bool {
        // One that is given addresses would have no name to ask for.
        self.config().kind == ParentKind::Http && !self.config().resolve
    }

    /// `Proxy-Authorization` of a request in absolute-form.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.shared.basic.as_ref()
    }

    /// Its name in decisions.
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.config().name)
    }

    /// What of it keeps connections apart from others'.
    pub(crate) fn key(&self) -> String {
        let config = self.config();
        let scheme = match (config.kind, &config.tls) {
            (ParentKind::Http, Some(_)) => "https",
            (ParentKind::Http, None) => "http",
            (ParentKind::Socks5, _) => "socks5",
        };
        let mut key = format!("{} {scheme}://", config.name);
        for place in &config.places {
            key.push_str(&place.name());
            key.push(',');
        }
        key
    }

    /// The state of its places.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.shared.cluster
    }

    /// Writes the gauges. Call it every few seconds.
    pub fn sweep(&self) {
        self.shared.cluster.measure();
    }

    /// The place that a destination would be asked of, and why, where there are several.
    pub(crate) fn choice(&self, host: &HostKind<'_>) -> Option<String> {
        let Shared { config, cluster, .. } = &*self.shared;
        if config.places.len() < 2 {
            return None;
        }
        let index = cluster.foresee(places::key_of(config, host))?;
        let report = cluster.report();
        let well = report.iter().filter(|own| own.state.is_in_service()).count();
        let (place, all) = (config.places[index].name(), report.len());
        Some(format!("{place}: {}, {well} of {all} in service", cluster.balancer()))
    }

    /// Asks the parent, on a connection to it, for a connection to a destination.
    pub(super) async fn ask(
        &self,
        stream: &mut DialedStream,
        beyond: &Beyond<'_>,
        via: Option<&HeaderValue>,
    ) -> Result<(), ProxyError> {
        let shared = &*self.shared;
        let asked = match shared.config.kind {
            ParentKind::Http => connect::ask(stream, beyond, shared.basic.as_ref(), via).await,
            ParentKind::Socks5 => {
                socks::ask(stream, beyond, shared.config.credentials.as_ref()).await
            }
        };
        shared.meters.count(match &asked {
            Ok(()) => Outcome::Connected,
            Err(error) if error.kind() == ErrorKind::ProxyConfigurationError => {
                Outcome::Credentials
            }
            Err(_) => Outcome::Refused,
        });
        asked
    }

    /// It has answered at a place: that is in service again, if it was not.
    pub(crate) fn reached(&self, place: usize) {
        self.shared.cluster.found(place);
    }

    /// Nobody was there, as this search has found or was told: counts it, and leaves the parent
    /// alone for a while where destinations are reached directly instead. (A cluster always keeps
    /// its last member.)
    pub(crate) fn failed(&self, search: &Search) {
        self.shared.meters.count(Outcome::Unreachable);
        if self.config().direct && search.has_tried() {
            *self.left_alone() = Some(from_now(places::AVOIDED[0]));
        }
    }

    /// Whether nobody was there of late, and destinations are reached directly instead.
    fn is_left_alone(&self) -> bool {
        self.config().direct && self.left_alone().is_some_and(|until| Instant::now() < until)
    }

    fn left_alone(&self) -> MutexGuard<'_, Option<Instant>> {
        self.shared.left_alone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place was connected to and gave no answer. What clients ask for may be why, so that it
    /// opens no way around the parent: only the order of places may depend on it.
    pub(crate) fn broke_off(&self, place: &Permit) {
        if !self.config().direct {
            place.report(crate::cluster::Outcome::Failed);
        }
    }
}

impl fmt::Debug for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parent").field("config", self.config()).finish_non_exhaustive()
    }
}

/// What a parent did instead of connecting.
pub(super) fn refused(kind: ErrorKind, detail: &'static str) -> ProxyError {
    ProxyError::new(kind).retry(Retry::NothingSent).detail(detail)
}

/// It wants to know who we are, or does not like it.
pub(crate) fn wrong_credentials() -> ProxyError {
    let error = refused(ErrorKind::ProxyConfigurationError, "parent_credentials");
    error.with_status(http::StatusCode::BAD_GATEWAY)
}

/// It went away.
pub(super) fn gone(error: std::io::Error) -> ProxyError {
    match error.kind() {
        std::io::ErrorKind::InvalidData => nonsense(),
        _ => refused(ErrorKind::ConnectionTerminated, "parent_closed").source(error),
    }
}

/// Whether it did not say what became of a question: it went away, or spoke something else.
pub(super) fn has_broken_off(error: &ProxyError) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionTerminated | ErrorKind::HttpProtocolError)
}

/// Whether it is somebody else who answers in its place: nobody is passed over for that, or
/// whoever forges a certificate on the way would choose the way.
pub(crate) fn is_final(error: &ProxyError) -> bool {
    error.kind() == ErrorKind::TlsCertificateError
}

/// It has no place that may be asked.
pub(crate) fn nobody() -> ProxyError {
    refused(ErrorKind::DestinationUnavailable, "parent_unavailable")
}

/// It speaks something else.
pub(super) fn nonsense() -> ProxyError {
    refused(ErrorKind::HttpProtocolError, "parent_protocol")
}

#[cfg(test)]
mod tests;
