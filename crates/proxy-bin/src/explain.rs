//! `explain`: what the layers would decide about a request, and why.
//!
//! A request passes the real stack, [`front`] and the role of the listener,
//! as a [rehearsal](proxy_core::Exchange::set_rehearsal): nothing is dialled, resolved, stored,
//! counted or logged. What the layers wrote into its record is the [`Explanation`]. An
//! [`Explainer`] is made of a configuration alone, or of the services of the running process.

mod answer;
mod arrival;
mod fields;
mod question;
mod reading;
mod tap;
mod text;

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::header::HOST;
use http::{HeaderMap, Method, Request, Response};
use proxy_cache::store::MemoryStore;
use proxy_core::{Body, ConnectionInfo, Exchange, ParentTunnel, SystemClock};
use proxy_observe::Observer;
use proxy_server::{Drain, Exchanges};
use proxy_upstream::guard::OwnListeners;
use proxy_upstream::resolve::StaticResolver;
use tower_service::Service;

pub use answer::{
    Accepted, Answer, Cache, Client, Decided, Explanation, Key, ListenerChoice, Sent, Stored,
    Target, Upstream,
};
pub use question::{Question, QuestionError};

use crate::compose::{Composed, Resources, compose, front, listener_settings};
use crate::compress::Coders;
use crate::config::raw;
use crate::config::resolved::{Address, Listener, Privacy, Resolved};
use crate::role::RoleService;
use crate::severing::Severing;
use crate::states::States;
use tap::{Normalised, Tap};

/// More than a cache needs that stays empty.
const EMPTY_CACHE: u64 = 1 << 20;

/// Explains requests. A clone is the same.
#[derive(Clone)]
pub struct Explainer {
    shared: Arc<Shared>,
}

struct Shared {
    config: Resolved,
    resources: Resources,
    roles: Vec<(Listener, RoleService)>,
    live: bool,
}

impl Explainer {
    /// Of a configuration that nothing runs by: no sockets, an empty cache, no DNS.
    pub fn offline(config: &Resolved) -> Self {
        let tcp = |address: &Address| match address {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        };
        let listeners = config.listeners.iter().flat_map(|listener| &listener.addresses);
        let operators = config.admin.iter().map(|admin| &admin.address).chain(&config.probe);
        let resources = Resources {
            // Nothing is started in a rehearsal.
            warden: proxy_exec::Warden::program("/dev/null"),
            resolver: Arc::new(StaticResolver::new()),
            own: OwnListeners::new(listeners.chain(operators).filter_map(tcp)),
            exchanges: Exchanges::new(Arc::new(SystemClock), 0),
            observer: silent(),
            cache: config
                .cache
                .as_ref()
                .map(|_| Arc::new(MemoryStore::with_capacity(EMPTY_CACHE)) as _),
            coders: Coders::new(config.compress, None),
            recorder: None,
            audit_door: None,
            traces: None,
            via_name: config.server.via_name.as_deref().unwrap_or("proxyd-00000000").into(),
            drain: Drain::default(),
            severing: Severing::default(),
            seed: 0,
        };
        let composed = compose(config, &resources, &mut States::default());
        Self::new(config, resources, &composed, false)
    }

    /// Of the running process: its cache, its turns, its own addresses.
    pub fn live(config: &Resolved, resources: &Resources, composed: &Composed) -> Self {
        // Nobody sees the exchange.
        let observer = silent();
        Self::new(config, Resources { observer, ..resources.clone() }, composed, true)
    }

    fn new(config: &Resolved, resources: Resources, composed: &Composed, live: bool) -> Self {
        let roles = composed.listeners.clone();
        Self { shared: Arc::new(Shared { config: config.clone(), resources, roles, live }) }
    }

    /// Whether the listener of a tunnel would open one to this host and port now, for the same client
    /// and user. Where the listener is gone, nobody is asked.
    pub async fn would_tunnel(&self, tunnel: &Exchange, host: &str, port: u16) -> bool {
        let from = tunnel.connection();
        let roles = self.shared.roles.iter();
        let mut forwards = roles.filter(|(listener, _)| listener.role == raw::Role::Forward);
        let Some((_, role)) = forwards.find(|(listener, _)| *listener.name == *from.listener)
        else {
            return true;
        };
        let connection = ConnectionInfo {
            peer: tunnel.client(),
            peer_trusted: false,
            // Who opened it was found out then.
            parent: Some(Arc::new(ParentTunnel {
                host: host.into(),
                port,
                id: tunnel.id().to_string().into(),
                user: tunnel.user().cloned(),
                certificate: from.tls.as_ref().and_then(|tls| tls.client.clone()),
            })),
            ..(**from).clone()
        };
        let (now, wall) = (Instant::now(), SystemTime::now());
        let exchange = Exchange::new(0, Arc::new(connection), now, wall, None);
        exchange.set_rehearsal();
        exchange.set_client(tunnel.client());
        let authority = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let request = Request::builder().method(Method::CONNECT).uri(&authority);
        let request = request.header(HOST, &authority).extension(exchange).body(Body::empty());
        match request {
            Ok(request) => answer_of(role.clone(), request).await.status().is_success(),
            Err(_) => true,
        }
    }

    /// Sends a request through the layers of its listener, and tells what they decided.
    ///
    /// # Errors
    /// A question that makes no request, or names no listener.
    pub async fn explain(&self, question: &Question) -> Result<Explanation, QuestionError> {
        let Shared { config, resources, roles, live } = &*self.shared;
        let asked = question.read()?;
        let ((listener, role), why) = asked.listener(roles)?;
        let settings = listener_settings(config, listener, resources);
        let arrival = asked.arrival(listener);
        let privacy = &config.privacy;
        let mut explanation = Explanation::new(&asked, listener, why, *live);
        let accepted = arrival.accepted(&settings, &privacy.log);
        explanation.accepted = accepted.verdict;
        let Some((peer, peer_trusted)) = accepted.peer else { return Ok(explanation) };

        let connection = Arc::new(ConnectionInfo {
            id: 0,
            listener: listener.name.as_str().into(),
            peer,
            peer_trusted,
            local: None,
            scheme: if listener.tls.is_some() { "https" } else { "http" },
            tls: asked.tls(listener).map(Arc::new),
            parent: None,
            accepted: Instant::now(),
            activity: Arc::default(),
        });
        let exchange = Exchange::new(0, connection, Instant::now(), SystemTime::now(), None);
        exchange.set_rehearsal();
        let mut request = asked.request(listener.role, &arrival)?;
        let (method, fields) = (request.method().clone(), request.headers().clone());
        let target = request.uri().to_string();
        request.extensions_mut().insert(exchange.clone());
        let service = front(config, listener, resources, Tap(role.clone()));
        let head = answer_of(service, request).await;
        explanation
            .tell(&exchange, &Came { method, target, fields, head, arrival: &arrival, privacy });
        Ok(explanation)
    }
}

/// An observer whose sinks are none.
fn silent() -> Observer {
    Observer::new(Arc::new(SystemClock), [])
}

impl std::fmt::Debug for Explainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Explainer").field("live", &self.shared.live).finish_non_exhaustive()
    }
}

/// What went into the layers, and what came out.
struct Came<'a> {
    method: Method,
    target: String,
    fields: HeaderMap,
    head: Response<()>,
    arrival: &'a arrival::Arrival,
    privacy: &'a Privacy,
}

/// The answer's head. Its content is nobody's concern.
async fn answer_of<S, B>(mut service: S, request: Request<Body>) -> Response<()>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
    let Ok(response) = service.call(request).await;
    response.map(drop)
}

#[cfg(test)]
mod tests;
