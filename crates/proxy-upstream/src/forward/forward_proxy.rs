//! `ForwardProxy`: requests in absolute-form, to wherever the client says and the guard permits.

use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{Request, Response};
use proxy_core::target::{AsteriskTarget, Authority};
use proxy_core::{Body, ErrorKind, Exchange, HeadLimits, ProxyError, Retry, Sending};
use tower_service::Service;

use super::h1::{Outgoing, Unsent};
use super::through_parent::{Leg, ThroughParent};
use super::{Destination, ForwardFuture, ForwardTimeouts, Way, prepare};
use crate::dial::parent::Parent;
use crate::dial::{DialTarget, Dialer, Trust};
use crate::guard::PortPolicy;
use crate::pool::{Destinations, Pool};
use crate::tls::UpstreamTls;

/// The service of a forward proxy. A clone is the same proxy.
#[derive(Clone)]
pub struct ForwardProxy {
    shared: Arc<Shared>,
}

struct Shared {
    dialer: Dialer,
    ports: PortPolicy,
    pools: Destinations,
    timeouts: ForwardTimeouts,
    limits: HeadLimits,
    /// For what came out of tunnels.
    tls: Option<UpstreamTls>,
}

impl ForwardProxy {
    /// Connects by `dialer`, to these ports only, keeping connections in `pools`.
    pub fn new(
        dialer: Dialer,
        ports: PortPolicy,
        pools: Destinations,
        timeouts: ForwardTimeouts,
        limits: HeadLimits,
    ) -> Self {
        Self { shared: Arc::new(Shared { dialer, ports, pools, timeouts, limits, tls: None }) }
    }

    /// Serves `https` targets, and no others, by TLS: what is found inside of intercepted tunnels.
    ///
    /// # Panics
    /// Where it is in use already.
    #[must_use]
    pub fn secure(mut self, tls: UpstreamTls) -> Self {
        let shared = Arc::get_mut(&mut self.shared).expect("changed only before it is used");
        shared.tls = Some(tls);
        self
    }
}

impl std::fmt::Debug for ForwardProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForwardProxy").field("dialer", &self.shared.dialer).finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for ForwardProxy {
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = ForwardFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> ForwardFuture {
        let is_secure = self.shared.tls.is_some();
        let (host, port) = match destination(&mut request, is_secure) {
            Ok(destination) => destination,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let shared = Arc::clone(&self.shared);
        if let Err(prohibited) = shared.ports.judge(port) {
            return Box::pin(ready(Err(prohibited.into())));
        }
        prepare(&mut request, None);
        let target = DialTarget { host: &host, port, trust: Trust::Client, exchange: None };
        let parent = shared.dialer.parent_of(&target);
        if let Some(exchange) = Exchange::of(&request).filter(|x| x.is_rehearsal()).cloned() {
            let target = DialTarget { exchange: Some(&exchange), ..target };
            return Box::pin(ready(shared.dialer.foresee(target).map(|addresses| {
                let mut sending = Sending::new(&request, &host, port);
                sending.addresses = addresses;
                sending.parent = parent.map(Parent::name);
                sending.parent_choice = shared.dialer.foresee_place(&target);
                sending.record(&exchange);
                Response::new(Body::empty())
            })));
        }
        // What differs in trust shares no connection.
        let way = parent.map(|parent| parent.key() + ">").unwrap_or_default();
        if let Some(parent) = parent.filter(|parent| !is_secure && parent.takes_requests()) {
            // A connection that is kept leads anywhere: each request is judged.
            let exchange = Exchange::of(&request).cloned();
            let target = DialTarget { exchange: exchange.as_ref(), ..target };
            let pools = shared.pools.clone();
            let around = format!("{host}:{port}");
            let pool_of = move |leg| match leg {
                // Whatever the destination: it is the parent that a connection leads to.
                Leg::Place(place) => pools.pool(&format!("{way}{place}")),
                Leg::Around => pools.pool(&around),
            };
            let judged = shared.dialer.judge_beyond(&target);
            let through = judged.and_then(|()| {
                let time = shared.timeouts.connect;
                ThroughParent::new(request, parent, &target, time, &pool_of)
            });
            return match through {
                Ok(through) => Box::pin(async move {
                    let pool = through.pool();
                    through.send(shared.destination(&host, port, &pool), pool_of).await
                }),
                Err(error) => Box::pin(ready(Err(error))),
            };
        }
        let scheme = if is_secure { "https://" } else { "" };
        let pool = shared.pools.pool(&format!("{way}{scheme}{host}:{port}"));
        match Outgoing::new(request, &pool, None::<fn(Parts)>) {
            Ok(outgoing) => Box::pin(async move {
                let destination = shared.destination(&host, port, &pool);
                destination.send(outgoing).await.map_err(Unsent::error)
            }),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

impl Shared {
    fn destination<'a>(&'a self, host: &'a str, port: u16, pool: &'a Pool) -> Destination<'a> {
        Destination {
            upstream: None,
            target: DialTarget { host, port, trust: Trust::Client, exchange: None },
            pool,
            dialer: &self.dialer,
            way: Way::Dialed,
            socket: None,
            announce: None,
            tls: self.tls.as_ref(),
            timeouts: self.timeouts,
            limits: self.limits,
        }
    }
}

/// Name, in lower case, and port of the target, which is in origin-form from here on.
fn destination(request: &mut Request<Body>, is_secure: bool) -> Result<(String, u16), ProxyError> {
    let bad = || ProxyError::new(ErrorKind::HttpRequestError).retry(Retry::NothingSent);
    // Nothing that came encrypted goes out in the clear, whatever went wrong before.
    if is_secure != (request.uri().scheme() == Some(&Scheme::HTTPS)) {
        return Err(bad());
    }
    let authority = request.uri().authority().ok_or_else(bad)?;
    let Authority { host, port } = Authority::parse(authority.as_str()).ok_or_else(bad)?;
    let destination = (host.to_ascii_lowercase(), port.unwrap_or(if is_secure { 443 } else { 80 }));
    let asterisk = request.extensions_mut().remove::<AsteriskTarget>().is_some();
    let path = match asterisk {
        true => PathAndQuery::from_static("*"),
        false => request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")),
    };
    *request.uri_mut() = Uri::from(path);
    Ok(destination)
}
