//! Exchange records without a server.
//!
//! ```
//! use http::Request;
//! use proxy_core::{AddressPrivacy, Exchange};
//! use proxy_testkit::ExchangeBuilder;
//!
//! let exchange = ExchangeBuilder::new().peer("192.0.2.1").build();
//! let request = Request::builder().extension(exchange).body(()).unwrap();
//! let peer = Exchange::of(&request).unwrap().connection().peer;
//! assert_eq!(peer.view(AddressPrivacy::Full).to_string(), "192.0.2.1");
//! ```

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use http::{HeaderMap, StatusCode};
use proxy_core::{ClientAddr, Clock, ConnectionInfo, Exchange, InterimSink};

use crate::clock::ManualClock;
use crate::lock;

/// Makes a [`ConnectionInfo`]: plain HTTP on the listener `test`, from an untrusted peer without
/// an address, unless told otherwise.
#[derive(Clone, Debug)]
pub struct ConnectionBuilder {
    id: u64,
    listener: Arc<str>,
    peer: ClientAddr,
    trusted: bool,
    local: Option<SocketAddr>,
    scheme: &'static str,
}

impl Default for ConnectionBuilder {
    fn default() -> Self {
        Self {
            id: 1,
            listener: "test".into(),
            peer: ClientAddr::unknown(),
            trusted: false,
            local: None,
            scheme: "http",
        }
    }
}

impl ConnectionBuilder {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The connection's number.
    #[must_use]
    pub fn id(mut self, id: u64) -> Self {
        self.id = id;
        self
    }

    /// The listener's name.
    #[must_use]
    pub fn listener(mut self, name: &str) -> Self {
        self.listener = name.into();
        self
    }

    /// The peer's address.
    ///
    /// # Panics
    /// Where the text is no IP address.
    #[must_use]
    pub fn peer(mut self, ip: &str) -> Self {
        self.peer = ClientAddr::new(ip.parse::<IpAddr>().expect("an IP address"));
        self
    }

    /// Whether the peer is a trusted proxy of the listener.
    #[must_use]
    pub fn trusted(mut self, trusted: bool) -> Self {
        self.trusted = trusted;
        self
    }

    /// The address that the peer reached.
    #[must_use]
    pub fn local(mut self, local: SocketAddr) -> Self {
        self.local = Some(local);
        self
    }

    /// The scheme of the connection's requests.
    #[must_use]
    pub fn scheme(mut self, scheme: &'static str) -> Self {
        self.scheme = scheme;
        self
    }

    /// The connection, accepted now.
    pub fn build(self, clock: &impl Clock) -> Arc<ConnectionInfo> {
        Arc::new(ConnectionInfo {
            id: self.id,
            listener: self.listener,
            peer: self.peer,
            peer_trusted: self.trusted,
            local: self.local,
            scheme: self.scheme,
            tls: None,
            parent: None,
            accepted: clock.now(),
            activity: Arc::default(),
        })
    }
}

/// Makes an [`Exchange`], with a connection of its own unless one is given.
#[derive(Clone, Default)]
pub struct ExchangeBuilder {
    id: Option<u128>,
    own: ConnectionBuilder,
    connection: Option<Arc<ConnectionInfo>>,
    clock: ManualClock,
    interim: Option<Arc<dyn InterimSink>>,
}

impl ExchangeBuilder {
    /// The defaults: see [`ConnectionBuilder`].
    pub fn new() -> Self {
        Self::default()
    }

    /// The exchange's id; 1 unless told otherwise.
    #[must_use]
    pub fn id(mut self, id: u128) -> Self {
        self.id = Some(id);
        self
    }

    /// The connection's peer. See [`ConnectionBuilder::peer`].
    #[must_use]
    pub fn peer(mut self, ip: &str) -> Self {
        self.own = self.own.peer(ip);
        self
    }

    /// Whether the peer is a trusted proxy.
    #[must_use]
    pub fn trusted(mut self, trusted: bool) -> Self {
        self.own = self.own.trusted(trusted);
        self
    }

    /// The connection's scheme.
    #[must_use]
    pub fn scheme(mut self, scheme: &'static str) -> Self {
        self.own = self.own.scheme(scheme);
        self
    }

    /// The listener's name.
    #[must_use]
    pub fn listener(mut self, name: &str) -> Self {
        self.own = self.own.listener(name);
        self
    }

    /// A connection made elsewhere; it takes the place of all that was said about one.
    #[must_use]
    pub fn connection(mut self, connection: Arc<ConnectionInfo>) -> Self {
        self.connection = Some(connection);
        self
    }

    /// The clock that says when it started.
    #[must_use]
    pub fn clock(mut self, clock: &ManualClock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// Where interim responses go.
    #[must_use]
    pub fn interim(mut self, sink: impl InterimSink) -> Self {
        self.interim = Some(Arc::new(sink));
        self
    }

    /// The record.
    pub fn build(self) -> Exchange {
        let connection = self.connection.unwrap_or_else(|| self.own.build(&self.clock));
        let (now, wall) = (self.clock.now(), self.clock.wall());
        Exchange::new(self.id.unwrap_or(1), connection, now, wall, self.interim)
    }
}

impl std::fmt::Debug for ExchangeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeBuilder").field("connection", &self.own).finish_non_exhaustive()
    }
}

/// Keeps the interim responses that would have gone to the client. A clone is the same log.
#[derive(Clone, Debug, Default)]
pub struct InterimLog(Arc<Mutex<Vec<(StatusCode, HeaderMap)>>>);

impl InterimLog {
    /// Nothing sent yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was sent, in order.
    pub fn sent(&self) -> Vec<(StatusCode, HeaderMap)> {
        lock(&self.0).clone()
    }
}

impl InterimSink for InterimLog {
    fn send(&self, status: StatusCode, fields: &HeaderMap) -> bool {
        lock(&self.0).push((status, fields.clone()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_as_it_was_told() {
        let log = InterimLog::new();
        let clock = ManualClock::new();
        let exchange = ExchangeBuilder::new()
            .id(9)
            .peer("2001:db8::1")
            .trusted(true)
            .scheme("https")
            .listener("web")
            .clock(&clock)
            .interim(log.clone())
            .build();
        assert_eq!(exchange.id().to_string(), format!("{:032x}", 9));
        let connection = exchange.connection();
        assert!(connection.peer.is_known() && connection.peer_trusted);
        assert_eq!((connection.scheme, &*connection.listener), ("https", "web"));
        assert_eq!(exchange.started(), clock.now());
        let hint = StatusCode::EARLY_HINTS;
        assert!(exchange.interim().is_some_and(|sink| sink.send(hint, &HeaderMap::new())));
        assert_eq!(log.sent().len(), 1);
    }

    #[test]
    fn exchanges_share_a_connection() {
        let clock = ManualClock::new();
        let local = SocketAddr::from(([127, 0, 0, 1], 80));
        let connection = ConnectionBuilder::new().id(4).local(local).build(&clock);
        let exchange = ExchangeBuilder::new().connection(Arc::clone(&connection)).build();
        assert_eq!((exchange.connection().id, exchange.connection().local), (4, Some(local)));
    }
}
