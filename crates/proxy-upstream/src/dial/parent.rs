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
//! A parent may be found at [further places](ParentConfig::fallbacks). They are tried in order, each
//! but the last for 2 s, or an equal part of the time that is left to connect where that is less; one
//! that was not there is tried last for 10 s.
//!
//! # Errors and responses
//! What connecting to the parent comes to. `connection_refused` where it refuses or can not reach
//! the destination, `connection_timeout` where it says so, `proxy_configuration_error` where it
//! asks for other credentials, `http_protocol_error` where it speaks something else,
//! `connection_terminated` where it goes away. Nothing of a request was sent in any of these cases.

mod connect;
mod meters;
mod places;
mod socks;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use ipnet::IpNet;
use metrics::Recorder;
use proxy_core::names::NameSet;
use proxy_core::{ErrorKind, ProxyError, Retry};
use tokio::net::TcpStream;

use crate::guard::HostKind;
use meters::{Meters, Outcome};
use places::Places;

pub(super) use places::PATIENCE;

/// The name in decisions.
pub(crate) const LAYER: &str = "parent";

/// The `Via` of a request, in the record of its exchange: a parent is told of it with CONNECT, so
/// that proxies which are each other's parents notice.
#[derive(Clone, Debug)]
pub struct PassedVia(pub HeaderValue);

/// What a parent speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentKind {
    /// HTTP/1.1: absolute-form and CONNECT.
    Http,
    /// SOCKS5 (RFC 1928).
    Socks5,
}

/// Name and password for a parent. They are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ParentCredentials {
    name: Box<str>,
    password: Box<str>,
}

impl ParentCredentials {
    /// Both, of at most 255 bytes each (RFC 1929 section 2); `None` where one is longer, the name
    /// is empty or has a colon (RFC 7617 section 2), or either has a control character.
    pub fn new(name: &str, password: &str) -> Option<Self> {
        let is_sound = |text: &str| text.len() <= 255 && !text.chars().any(char::is_control);
        let sound = !name.is_empty() && !name.contains(':') && is_sound(name) && is_sound(password);
        sound.then(|| Self { name: name.into(), password: password.into() })
    }

    /// `Basic`, for `Proxy-Authorization`.
    fn basic(&self) -> Option<HeaderValue> {
        let text = BASE64_STANDARD.encode(format!("{}:{}", self.name, self.password));
        let mut value = HeaderValue::try_from(format!("Basic {text}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for ParentCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ParentCredentials(..)")
    }
}

/// A parent proxy.
#[derive(Clone, Debug)]
pub struct ParentConfig {
    /// Its name in decisions and metrics.
    pub name: Arc<str>,
    /// What it speaks.
    pub kind: ParentKind,
    /// Its name or address; an IPv6 address in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Where it is instead, while no connection to the one before can be made: host and port of
    /// each, in order. They speak the same, and are told the same. Default: nowhere.
    pub fallbacks: Vec<(String, u16)>,
    /// Who we are to it. Default: nobody.
    pub credentials: Option<ParentCredentials>,
    /// Names that are reached without it.
    pub bypass_names: NameSet,
    /// Networks whose addresses are reached without it, where a destination is an address.
    pub bypass_networks: Vec<IpNet>,
    /// Whether names are resolved and judged here, and the parent is given addresses.
    /// Default: no, it is given names.
    pub resolve: bool,
}

impl ParentConfig {
    /// For all destinations but this machine, without credentials.
    pub fn new(name: &str, kind: ParentKind, host: &str, port: u16) -> Self {
        Self {
            name: name.into(),
            kind,
            host: host.to_owned(),
            port,
            fallbacks: Vec::new(),
            credentials: None,
            bypass_names: NameSet::default(),
            bypass_networks: Vec::new(),
            resolve: false,
        }
    }
}

/// See the [module](self). A clone is the same.
#[derive(Clone)]
pub struct Parent {
    shared: Arc<Shared>,
}

struct Shared {
    config: ParentConfig,
    basic: Option<HeaderValue>,
    meters: Meters,
    places: Places,
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
    /// A parent, which counts in the recorder, if there is one.
    pub fn new(config: ParentConfig, recorder: Option<&dyn Recorder>) -> Self {
        let basic = config.credentials.as_ref().and_then(ParentCredentials::basic);
        let meters = Meters::new(&config.name, recorder);
        let places = Places::new(1 + config.fallbacks.len());
        Self { shared: Arc::new(Shared { config, basic, meters, places }) }
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
        let scheme = match config.kind {
            ParentKind::Http => "http",
            ParentKind::Socks5 => "socks5",
        };
        let mut key = format!("{scheme}://{}:{}", config.host, config.port);
        for (host, port) in &config.fallbacks {
            key.push_str(&format!(",{host}:{port}"));
        }
        key
    }

    /// Asks the parent, on a connection to it, for a connection to a destination.
    pub(super) async fn ask(
        &self,
        stream: &mut TcpStream,
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

    /// Where it is looked for, in order, by the number of each place.
    pub(super) fn places(&self) -> Vec<(usize, &str, u16)> {
        let config = self.config();
        let first = (config.host.as_str(), config.port);
        let others = config.fallbacks.iter().map(|(host, port)| (host.as_str(), *port));
        let all: Vec<_> = std::iter::once(first).chain(others).collect();
        let order = self.shared.places.in_order();
        order.into_iter().map(|place| (place, all[place].0, all[place].1)).collect()
    }

    /// It was found at a place, or not.
    pub(super) fn looked(&self, place: usize, found: bool) {
        self.shared.places.looked(place, found);
    }

    /// Counts a connection to the parent that did not come about.
    pub(super) fn failed(&self) {
        self.shared.meters.count(Outcome::Unreachable);
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

/// It speaks something else.
pub(super) fn nonsense() -> ProxyError {
    refused(ErrorKind::HttpProtocolError, "parent_protocol")
}

#[cfg(test)]
mod tests;
