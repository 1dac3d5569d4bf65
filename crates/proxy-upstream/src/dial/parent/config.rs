//! What a parent is, and where.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use ipnet::IpNet;
use proxy_core::names::NameSet;

use crate::BalanceKind;
use crate::tls::UpstreamTls;

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
    pub(super) name: Box<str>,
    pub(super) password: Box<str>,
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
    pub(super) fn basic(&self) -> Option<HeaderValue> {
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

/// One of the servers that are a parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentPlace {
    /// Its name or address; an IPv6 address in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its share beside the others', 0 to 256; 0 is asked for nothing. Default: 1.
    pub weight: u32,
    /// Whether it is used only while no other can be reached. Default: no.
    pub backup: bool,
}

impl ParentPlace {
    /// A place of weight 1, and no backup.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, weight: 1, backup: false }
    }

    /// What it is called in reports and metrics.
    pub fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// A parent proxy.
#[derive(Clone, Debug)]
pub struct ParentConfig {
    /// Its name in decisions and metrics.
    pub name: Arc<str>,
    /// What it speaks.
    pub kind: ParentKind,
    /// Where it is, at least one place. All of them speak the same, and are told the same.
    pub places: Vec<ParentPlace>,
    /// Which place is asked for a destination, where there are several.
    /// [`BalanceKind::Hash`] goes by the destination's host, whatever its key says: each destination
    /// has its place. Default: the first that can be reached.
    pub balance: BalanceKind,
    /// TLS with the parent itself. The name that it must prove is the host of its place, where this
    /// names no other. For [`ParentKind::Http`] only. Default: in clear text.
    pub tls: Option<UpstreamTls>,
    /// Whether destinations are reached without it while no place of it can be connected to.
    /// Default: no.
    pub direct: bool,
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
            places: vec![ParentPlace::new(host, port)],
            balance: BalanceKind::First,
            tls: None,
            direct: false,
            credentials: None,
            bypass_names: NameSet::default(),
            bypass_networks: Vec::new(),
            resolve: false,
        }
    }
}
