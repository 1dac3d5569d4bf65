//! `Registry`: what a host with a server of its own hands to [`ObserveLayer`](crate::ObserveLayer).

use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, Request};
use metrics::Recorder;
use proxy_core::{AuditSink, ClientAddr, Clock, ConnectionInfo, Exchanges, PathPolicy};

use crate::access_log::{AccessLog, AccessLogConfig};
use crate::audit::AuditTrail;
use crate::metrics::{Metrics, MetricsBuilder};
use crate::observer::{Observer, Sink};
use crate::redaction::Redaction;

/// The name of the listener, where the host gives none.
const LISTENER: &str = "host";
/// The name of a route that the registry was not told.
const OTHER: &str = "_OTHER";

type PeerOf = Box<dyn Fn(&Extensions) -> Option<SocketAddr> + Send + Sync>;
type RouteOf = Box<dyn Fn(&Extensions) -> Option<&str> + Send + Sync>;

/// Metrics and an access log for a host with a server of its own, such as axum's. Nothing global
/// is set or read: metrics go to the recorder that it is given, lines to its own log.
///
/// [`ObserveLayer::new(&registry)`](crate::ObserveLayer::new) makes the record of each exchange,
/// for which it needs no other layer, and no server of ours. A clone is the same; keep one while
/// the host serves, and drop it last: that writes what is queued.
///
/// ```
/// use std::sync::Arc;
/// use metrics_exporter_prometheus::PrometheusBuilder;
/// use proxy_core::SystemClock;
/// use proxy_observe::{ObserveLayer, Registry};
/// use tower::ServiceBuilder;
///
/// # fn main() -> std::io::Result<()> {
/// let recorder = PrometheusBuilder::new().build_recorder();
/// let page = recorder.handle();
/// let registry = Registry::new(recorder, SystemClock)?;
/// let stack = ServiceBuilder::new().layer(ObserveLayer::new(&registry));
/// // What `/metrics` answers:
/// assert!(page.render().contains("http_server_active_requests"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Registry {
    observer: Observer,
    metrics: Arc<Metrics>,
    log: Option<Arc<AccessLog>>,
}

impl Registry {
    /// Metrics in this recorder; an access log of JSON lines on standard output.
    ///
    /// # Errors
    /// Where the log's thread can not be started.
    pub fn new(
        recorder: impl Recorder + Send + Sync + 'static,
        clock: impl Clock,
    ) -> io::Result<Self> {
        let log = AccessLog::builder(AccessLogConfig::default()).start(io::stdout())?;
        Ok(Self::builder(recorder, clock).access_log(log).build())
    }

    /// The same in another way: without a log unless one is given.
    pub fn builder(
        recorder: impl Recorder + Send + Sync + 'static,
        clock: impl Clock,
    ) -> RegistryBuilder {
        RegistryBuilder {
            metrics: Metrics::builder(Arc::new(recorder)),
            clock: Arc::new(clock),
            listener: LISTENER.into(),
            log: None,
            sinks: Vec::new(),
            routes: Vec::new(),
            peer_of: Box::new(|extensions| extensions.get().copied()),
            route_of: Box::new(|_| None),
        }
    }

    /// What the layer reports to; it also hears a server's
    /// [`ConnectionEvents`](proxy_core::ConnectionEvents), if there is one that has them.
    pub const fn observer(&self) -> &Observer {
        &self.observer
    }

    /// The metrics, for the counters of further logs.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Waits until every line so far is written. False where that takes longer.
    pub fn flush(&self, limit: Duration) -> bool {
        self.log.as_ref().is_none_or(|log| log.flush(limit))
    }
}

impl From<&Registry> for Observer {
    fn from(registry: &Registry) -> Self {
        registry.observer.clone()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("log", &self.log).finish_non_exhaustive()
    }
}

/// Builds a [`Registry`].
#[must_use]
pub struct RegistryBuilder {
    metrics: MetricsBuilder,
    clock: Arc<dyn Clock>,
    listener: Arc<str>,
    log: Option<AccessLog>,
    sinks: Vec<Arc<dyn Sink>>,
    routes: Vec<Arc<str>>,
    peer_of: PeerOf,
    route_of: RouteOf,
}

impl RegistryBuilder {
    /// Lines go to this log.
    pub fn access_log(mut self, log: AccessLog) -> Self {
        self.log = Some(log);
        self
    }

    /// What layers refuse, and would have refused, goes to this sink too. Queries as this
    /// redaction shows them.
    pub fn audit(self, sink: impl AuditSink, redaction: Redaction) -> Self {
        self.sink(Arc::new(AuditTrail::new(Arc::new(sink), redaction, PathPolicy::default())))
    }

    /// A further sink.
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.sinks.push(sink);
        self
    }

    /// The listener's name in lines and metrics. Default: `host`.
    pub fn listener(mut self, name: &str) -> Self {
        self.listener = name.into();
        self
    }

    /// How the address of the client is found among a request's extensions. Default: as a
    /// [`SocketAddr`] of its own. With axum: `|own| own.get::<ConnectInfo<SocketAddr>>().map(|c| c.0)`.
    pub fn peer(
        mut self,
        of: impl Fn(&Extensions) -> Option<SocketAddr> + Send + Sync + 'static,
    ) -> Self {
        self.peer_of = Box::new(of);
        self
    }

    /// The routes that metrics tell apart, and how the one of a request is found among its
    /// extensions: any other is `_OTHER`, so that no client makes new series. With axum:
    /// `|own| own.get::<MatchedPath>().map(MatchedPath::as_str)`.
    pub fn routes<N: Into<Arc<str>>>(
        mut self,
        names: impl IntoIterator<Item = N>,
        of: impl Fn(&Extensions) -> Option<&str> + Send + Sync + 'static,
    ) -> Self {
        self.routes = names.into_iter().map(Into::into).collect();
        self.route_of = Box::new(of);
        self
    }

    /// Makes the handles of all metrics.
    pub fn build(self) -> Registry {
        let metrics = self.metrics.routes(self.routes.iter().cloned());
        let metrics = Arc::new(metrics.listeners([Arc::clone(&self.listener)]).build());
        let mut sinks: Vec<Arc<dyn Sink>> = self.log.iter().map(AccessLog::sink).collect();
        sinks.extend(self.sinks);
        sinks.push(Arc::<Metrics>::clone(&metrics));
        // Seeded by the system anew for each of them.
        let seed = std::hash::RandomState::new().build_hasher().finish();
        let mut routes = self.routes;
        routes.sort_unstable();
        let records = Records {
            exchanges: Exchanges::new(Arc::clone(&self.clock), seed),
            clock: Arc::clone(&self.clock),
            listener: self.listener,
            peer_of: self.peer_of,
            route_of: self.route_of,
            routes: routes.into(),
            other: OTHER.into(),
        };
        let observer = Observer::making(self.clock, sinks, records);
        Registry { observer, metrics, log: self.log.map(Arc::new) }
    }
}

/// Makes the record of exchanges for which no server has made one.
pub(crate) struct Records {
    exchanges: Exchanges,
    clock: Arc<dyn Clock>,
    listener: Arc<str>,
    peer_of: PeerOf,
    route_of: RouteOf,
    /// Sorted.
    routes: Box<[Arc<str>]>,
    other: Arc<str>,
}

impl Records {
    /// Puts a record into the request's extensions. Connections are not known here: each request
    /// has one of its own, without a number.
    pub(crate) fn begin<B>(&self, request: &mut Request<B>) {
        let extensions = request.extensions();
        let peer = (self.peer_of)(extensions);
        let connection = ConnectionInfo {
            id: 0,
            listener: Arc::clone(&self.listener),
            peer: peer.map_or(ClientAddr::unknown(), ClientAddr::from),
            peer_trusted: false,
            local: None,
            scheme: "http",
            tls: None,
            parent: None,
            accepted: self.clock.now(),
            activity: Arc::default(),
        };
        let route = (self.route_of)(extensions).map(|name| {
            match self.routes.binary_search_by(|known| (**known).cmp(name)) {
                Ok(at) => Arc::clone(&self.routes[at]),
                Err(_) => Arc::clone(&self.other),
            }
        });
        let exchange = self.exchanges.begin(&Arc::new(connection), None);
        if let Some(route) = route {
            exchange.set_route(route);
        }
        request.extensions_mut().insert(exchange);
    }
}
