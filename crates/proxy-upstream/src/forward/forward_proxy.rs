//! `ForwardProxy`: requests in absolute-form, to wherever the client says and the guard permits.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::{PathAndQuery, Uri};
use http::{Request, Response};
use proxy_core::target::{AsteriskTarget, Authority};
use proxy_core::{Body, ErrorKind, Exchange, HeadLimits, ProxyError, Retry, Sending};
use tower_service::Service;

use super::{Destination, ForwardFuture, ForwardTimeouts, prepare};
use crate::dial::{DialTarget, Dialer, Trust};
use crate::guard::PortPolicy;
use crate::pool::Destinations;

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
        Self { shared: Arc::new(Shared { dialer, ports, pools, timeouts, limits }) }
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
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let bad = || ProxyError::new(ErrorKind::HttpRequestError).retry(Retry::NothingSent);
            let authority = request.uri().authority().cloned().ok_or_else(bad)?;
            let Authority { host, port } = Authority::parse(authority.as_str()).ok_or_else(bad)?;
            let port = port.unwrap_or(80);
            shared.ports.judge(port)?;
            let asterisk = request.extensions_mut().remove::<AsteriskTarget>().is_some();
            let path = match asterisk {
                true => PathAndQuery::from_static("*"),
                false => request
                    .uri()
                    .path_and_query()
                    .cloned()
                    .unwrap_or(PathAndQuery::from_static("/")),
            };
            *request.uri_mut() = Uri::from(path);
            prepare(&mut request, None);
            let target = DialTarget { host, port, trust: Trust::Client };
            if let Some(exchange) = Exchange::of(&request).filter(|x| x.is_rehearsal()) {
                let mut sending = Sending::new(&request, host, port);
                sending.addresses = shared.dialer.foresee(target)?;
                sending.record(exchange);
                return Ok(Response::new(Body::empty()));
            }
            let mut key = host.to_ascii_lowercase();
            key.push(':');
            key.push_str(&port.to_string());
            let pool = shared.pools.pool(&key);
            let destination = Destination {
                upstream: None,
                target,
                pool: &pool,
                dialer: &shared.dialer,
                timeouts: shared.timeouts,
                limits: shared.limits,
            };
            destination.send(request).await
        })
    }
}
