//! The gateway role: finds the route, judges its access rule, and does what it says.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use proxy_cache::CacheLayer;
use proxy_core::target::Authority;
use proxy_core::{AddressPrivacy, Body, BoxError, ErrorKind, Exchange, ProxyError, Refusal, Reply};
use proxy_upstream::Upstream;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use crate::access::{ListenerAccess, client_not_allowed};
use crate::body_limit;
use crate::cache::{MaybeCached, MaybeCachedBody, MaybeCachedFuture};
use crate::routes::{
    Action, FieldContext, Lookup, PreparedFields, RedirectContext, Route, RouteQuery, RouteTable,
};

/// What a route has beside its place in the table.
#[derive(Clone, Debug, Default)]
pub struct RouteTarget {
    /// Where it forwards to; none for routes that answer themselves.
    pub upstream: Option<MaybeCached<Upstream>>,
    /// The largest content of a request.
    pub body_limit: Option<u64>,
    /// The whole time until the response head.
    pub total_timeout: Option<Duration>,
}

impl RouteTarget {
    /// A target that forwards, through the cache where there is one.
    pub fn forward(
        upstream: Upstream,
        cache: Option<&CacheLayer>,
        body_limit: Option<u64>,
        total: Option<Duration>,
    ) -> Self {
        let upstream = Some(MaybeCached::new(upstream, cache));
        Self { upstream, body_limit, total_timeout: total }
    }
}

/// The gateway of one listener. A clone is the same gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    listener: String,
    access: ListenerAccess,
    table: Arc<RouteTable>,
    /// In the order of the table.
    targets: Vec<RouteTarget>,
}

impl Gateway {
    /// The gateway of the listener of this name; `targets` in the order of
    /// the table.
    pub fn new(
        listener: &str,
        access: ListenerAccess,
        table: Arc<RouteTable>,
        targets: Vec<RouteTarget>,
    ) -> Self {
        Self { shared: Arc::new(Shared { listener: listener.to_owned(), access, table, targets }) }
    }
}

impl<B> Service<Request<B>> for Gateway
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Reply<MaybeCachedBody>>;
    type Error = Infallible;
    type Future = GatewayFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> GatewayFuture {
        let exchange = Exchange::of(&request).cloned();
        let state = self.shared.begin(request.map(Body::new)).unwrap_or_else(|refusal| {
            let refusal = refusal.recorded(exchange.as_ref(), "gateway");
            State::Made { response: Some(Box::new(refusal.into_response())) }
        });
        GatewayFuture { state }
    }
}

impl Shared {
    fn begin(&self, mut request: Request<Body>) -> Result<State, Box<Refusal>> {
        let exchange = Exchange::of(&request).cloned();
        let exchange = exchange.as_ref();
        let host = request.headers().get(header::HOST).cloned();
        let host = host.as_ref().and_then(|h| Authority::parse(h.to_str().ok()?));
        let host = host.map_or("", |authority| authority.host);
        let target = request.uri().clone();
        let method = request.method().clone();
        let scheme = exchange.map_or("http", |x| x.connection().scheme);
        let query = RouteQuery {
            listener: &self.listener,
            method: &method,
            scheme,
            host,
            path: target.path(),
            query: target.query(),
            fields: request.headers(),
        };
        let (route, rest) = match self.table.lookup(&query) {
            Lookup::Route { route, rest } => (route, rest),
            Lookup::MethodNotAllowed(allow) => {
                self.access.judge(exchange)?;
                let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
                return Err(Box::new(refusal.field(header::ALLOW, allow)));
            }
            Lookup::NotFound => {
                self.access.judge(exchange)?;
                return Err(Box::new(Refusal::new(StatusCode::NOT_FOUND, "no_route")));
            }
        };
        if let Some(exchange) = exchange {
            exchange.set_route(Arc::clone(&route.name));
        }
        self.access.judge(exchange)?;
        let client = exchange.map_or(proxy_core::ClientAddr::unknown(), Exchange::client);
        if !route.permits(&client) {
            return Err(client_not_allowed());
        }
        let view = client.view(AddressPrivacy::Full);
        let id = exchange.map(Exchange::id);
        let context = FieldContext {
            method: &method,
            scheme,
            host,
            path: target.path(),
            query: target.query(),
            client: &view,
            request_id: id.as_ref().map_or(&"-" as &dyn std::fmt::Display, |id| id),
            route: &route.name,
            fields: request.headers(),
        };
        let response_fields =
            (!route.response_fields.is_empty()).then(|| route.response_fields.prepare(&context));
        match &route.action {
            Action::Respond(respond) => {
                let mut response = respond.response(&context);
                if method == Method::HEAD {
                    let length = HeaderValue::from(response.body().len());
                    response.headers_mut().insert(header::CONTENT_LENGTH, length);
                    *response.body_mut() = Bytes::new();
                }
                Ok(made(response, route, response_fields))
            }
            Action::Redirect(redirect) => {
                let context =
                    RedirectContext { host, path: target.path(), query: target.query(), rest };
                let location = redirect
                    .location(&context)
                    .map_err(|_| Box::new(Refusal::new(StatusCode::BAD_REQUEST, "redirect")))?;
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = redirect.status();
                response.headers_mut().insert(header::LOCATION, location);
                Ok(made(response, route, response_fields))
            }
            Action::Upstream(_) => {
                let missing =
                    || Box::new(Refusal::from_error(&ErrorKind::DestinationNotFound.into()));
                let own = self.targets.get(route.index).ok_or_else(missing)?;
                let mut upstream = own.upstream.clone().ok_or_else(missing)?;
                let prepared = (!route.request_fields.is_empty())
                    .then(|| route.request_fields.prepare(&context));
                if let Some(prepared) = prepared {
                    route.request_fields.apply(&prepared, request.headers_mut());
                }
                if !route.rewrite.is_empty() {
                    *request.uri_mut() = rewritten(route, &target)?;
                }
                let (parts, body) = request.into_parts();
                let body = body_limit::limit(&parts.headers, body, own.body_limit)?;
                let inner = upstream.call(Request::from_parts(parts, body));
                Ok(State::Forwarding {
                    inner,
                    changes: response_fields.map(|fields| Box::new((Arc::clone(route), fields))),
                    timeout: own.total_timeout.map(|total| Box::pin(sleep(total))),
                    exchange: exchange.cloned(),
                })
            }
        }
    }
}

/// The target with the path that the upstream sees.
fn rewritten(route: &Route, target: &Uri) -> Result<Uri, Box<Refusal>> {
    let failed = || {
        let error = ProxyError::new(ErrorKind::ProxyConfigurationError).detail("rewrite");
        Box::new(Refusal::from_error(&error))
    };
    let path = route.rewrite.apply(target.path()).map_err(|_| failed())?;
    let path = match target.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path.as_ref()),
    };
    Ok(Uri::from(path.map_err(|_| failed())?))
}

/// An answer of the route itself.
fn made(mut response: Response<Bytes>, route: &Route, fields: Option<PreparedFields>) -> State {
    if let Some(fields) = fields {
        route.response_fields.apply(&fields, response.headers_mut());
    }
    let response = response.map(|content| Reply::inner(MaybeCachedBody::made(content)));
    State::Made { response: Some(Box::new(response)) }
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
        Made { response: Option<Box<Response<Reply<MaybeCachedBody>>>> },
        Forwarding {
            #[pin]
            inner: MaybeCachedFuture,
            changes: Option<Box<(Arc<Route>, PreparedFields)>>,
            timeout: Option<Pin<Box<Sleep>>>,
            exchange: Option<Exchange>,
        },
    }
}

impl Future for GatewayFuture {
    type Output = Result<Response<Reply<MaybeCachedBody>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Made { response } => {
                Poll::Ready(Ok(*response.take().expect("polled after completion")))
            }
            StateProj::Forwarding { inner, changes, timeout, exchange } => {
                let Poll::Ready(Ok(mut response)) = inner.poll(cx) else {
                    let Some(timeout) = timeout else { return Poll::Pending };
                    ready!(timeout.as_mut().poll(cx));
                    let error = ProxyError::new(ErrorKind::HttpResponseTimeout).detail("total");
                    let refusal =
                        Refusal::from_error(&error).recorded(exchange.as_ref(), "gateway");
                    return Poll::Ready(Ok(refusal.into_response()));
                };
                if let Some(changes) = changes.take() {
                    changes.0.response_fields.apply(&changes.1, response.headers_mut());
                }
                Poll::Ready(Ok(response.map(Reply::inner)))
            }
        }
    }
}

impl std::fmt::Debug for GatewayFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayFuture").finish_non_exhaustive()
    }
}
