//! `StackService`: the service of one listener, at each moment.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use proxy_core::{Body, BoxError, ClientAddr, ConnectionInfo, Exchange, IpSet, Refusal, Reply};
use tower_service::Service;

use super::{Entry, Stack};
use crate::stack::ErasedFuture;

/// What a listener of the configuration does, without the listener. A clone is the same.
///
/// Who asks is the `Arc<ConnectionInfo>` in the request's extensions, where a server put one; else
/// axum's `ConnectInfo<SocketAddr>`; else nobody knows, and rules about clients match nobody. A
/// request that has an [`Exchange`] keeps it. Its target may be in origin-form or in absolute-form.
///
/// After a [swap](Stack::swap) to a configuration without the listener the answer is 503
/// `listener_gone`. CONNECT without an [`Exchange`] is 501 `tunnels_not_served`: only
/// [`proxy_server::accept`] gives a connection away, and it puts one.
#[derive(Clone, Debug)]
pub struct StackService {
    stack: Stack,
    listener: Arc<str>,
}

impl StackService {
    pub(super) fn new(stack: &Stack, listener: &str) -> Self {
        Self { stack: stack.clone(), listener: listener.into() }
    }
}

impl<B> Service<Request<B>> for StackService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ErasedFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ErasedFuture {
        let services = self.stack.shared.services.load();
        let Some(entry) = services.get(&*self.listener) else {
            return refused(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "listener_gone"));
        };
        let mut request = request.map(Body::new);
        if Exchange::of(&request).is_none() {
            if request.method() == Method::CONNECT {
                return refused(Refusal::new(StatusCode::NOT_IMPLEMENTED, "tunnels_not_served"));
            }
            let connection = connection(&request, entry);
            let exchange = entry.resources.exchanges.begin(&connection, None);
            request.extensions_mut().insert(exchange);
        }
        entry.service.clone().call(request)
    }
}

fn refused(refusal: Refusal) -> ErasedFuture {
    let response: Response<Reply<Body>> = refusal.into_response();
    Box::pin(std::future::ready(Ok(response.map(Body::new))))
}

/// The connection that a request came on.
fn connection(request: &Request<Body>, entry: &Entry) -> Arc<ConnectionInfo> {
    if let Some(known) = request.extensions().get::<Arc<ConnectionInfo>>() {
        return Arc::clone(known);
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(ClientAddr::unknown(), |peer| ClientAddr::from(peer.0));
    let trusted: IpSet = entry.listener.trusted_proxies.iter().copied().collect();
    Arc::new(ConnectionInfo {
        id: 0,
        listener: entry.listener.name.as_str().into(),
        peer,
        peer_trusted: peer.is_in(&trusted),
        local: None,
        scheme: match request.uri().scheme_str() {
            Some("https") => "https",
            _ => "http",
        },
        tls: None,
        parent: None,
        accepted: Instant::now(),
        activity: Arc::default(),
    })
}
