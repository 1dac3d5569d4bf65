//! The gateway role: finds the route, judges who may use it, and hands the request through the
//! filter to the [`Dispatch`], which does what the route says.

mod dispatch;
mod priority;
mod split;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use proxy_core::target::Authority;
use proxy_core::{Body, BoxError, ClientAddr, Exchange, Refusal};

use crate::access::{ListenerAccess, client_not_allowed};
use crate::cache::MaybeCachedBody;
use crate::routes::{Lookup, Route, RouteQuery, RouteTable};
use crate::stack::{MaybeStacked, MaybeStackedFuture};

pub use dispatch::{Dispatch, DispatchFuture, RouteService, RouteTarget, SplitTarget};
pub use split::{SplitRules, SplitTest};
use tower_service::Service;

/// What the table of routes says of a request. Between match and dispatch it stands in the
/// request's extensions.
#[derive(Clone, Debug)]
pub enum Matched {
    /// This route matches.
    Route {
        /// The route.
        route: Arc<Route>,
        /// Where `{rest}` begins in the path, in bytes.
        rest: usize,
    },
    /// Only routes with other methods match: 405, with this `Allow`.
    MethodNotAllowed(HeaderValue),
    /// No route matches: 404.
    NotFound,
}

/// The gateway of one listener. A clone is the same gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    inner: MaybeStacked<Dispatch>,
}

#[derive(Debug)]
struct Shared {
    listener: String,
    access: ListenerAccess,
    table: Arc<RouteTable>,
}

impl Gateway {
    /// The gateway of the listener of this name: what the table finds goes to `inner`, if the
    /// access rules permit it.
    pub fn new(
        listener: &str,
        access: ListenerAccess,
        table: Arc<RouteTable>,
        inner: MaybeStacked<Dispatch>,
    ) -> Self {
        let listener = listener.to_owned();
        Self { shared: Arc::new(Shared { listener, access, table }), inner }
    }
}

impl<B> Service<Request<B>> for Gateway
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<MaybeCachedBody>;
    type Error = Infallible;
    type Future = GatewayFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> GatewayFuture {
        let mut request = request.map(Body::new);
        let matched = self.shared.find(&request);
        if let Err(refusal) = self.shared.judge(&matched, Exchange::of(&request)) {
            let response = refusal.recorded(Exchange::of(&request), "gateway").into_response();
            let response = response.map(|body| MaybeCachedBody::Plain { body });
            return GatewayFuture { state: State::Refused { response: Some(Box::new(response)) } };
        }
        let inner = match &mut self.inner {
            MaybeStacked::Plain(dispatch) => {
                MaybeStackedFuture::Plain { inner: dispatch.begin(request, matched) }
            }
            stack => {
                request.extensions_mut().insert(matched);
                stack.call(request)
            }
        };
        GatewayFuture { state: State::Inner { inner } }
    }
}

impl Shared {
    /// Finds the route and writes its name into the record. Answers nothing.
    fn find(&self, request: &Request<Body>) -> Matched {
        let exchange = Exchange::of(request);
        let host = request.headers().get(header::HOST);
        let host = host.and_then(|h| Authority::parse(h.to_str().ok()?));
        let path = request.uri().path();
        let query = RouteQuery {
            listener: &self.listener,
            method: request.method(),
            scheme: exchange.map_or("http", |x| x.connection().scheme),
            host: host.map_or("", |authority| authority.host),
            path,
            query: request.uri().query(),
            fields: request.headers(),
        };
        match self.table.lookup(&query) {
            Lookup::Route { route, rest } => {
                if let Some(exchange) = exchange {
                    exchange.set_route(Arc::clone(&route.name));
                }
                Matched::Route { route: Arc::clone(route), rest: path.len() - rest.len() }
            }
            Lookup::MethodNotAllowed(allow) => Matched::MethodNotAllowed(allow),
            Lookup::NotFound => Matched::NotFound,
        }
    }

    /// The clients of the listener, then those of the route.
    fn judge(&self, matched: &Matched, exchange: Option<&Exchange>) -> Result<(), Box<Refusal>> {
        self.access.judge(exchange)?;
        match matched {
            Matched::Route { route, .. }
                if !route.permits(&exchange.map_or(ClientAddr::unknown(), Exchange::client)) =>
            {
                Err(client_not_allowed())
            }
            _ => Ok(()),
        }
    }
}

pin_project! {
    /// The future of [`Gateway`].
    pub struct GatewayFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProj]
    enum State {
        Refused { response: Option<Box<Response<MaybeCachedBody>>> },
        Inner { #[pin] inner: MaybeStackedFuture<DispatchFuture> },
    }
}

impl Future for GatewayFuture {
    type Output = Result<Response<MaybeCachedBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Refused { response } => {
                Poll::Ready(Ok(*response.take().expect("polled after completion")))
            }
            StateProj::Inner { inner } => inner.poll(cx),
        }
    }
}

impl std::fmt::Debug for GatewayFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayFuture").finish_non_exhaustive()
    }
}
