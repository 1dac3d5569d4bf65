//! What a route does with a request: answers it, or forwards it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use pin_project_lite::pin_project;
use proxy_core::target::Authority;
use proxy_core::{AddressPrivacy, Body, ClientAddr, ErrorKind, Exchange, ProxyError, Refusal};
use proxy_upstream::balance::Random;
use proxy_upstream::priority::PriorityRules;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::split::SplitRules;
use super::{Matched, priority};
use crate::body_limit;
use crate::buffer::MaybeBuffered;
use crate::cache::{MaybeCached, MaybeCachedBody, MaybeCachedFuture};
use crate::miss_limited::MissLimited;
use crate::routes::{Action, FieldContext, PreparedFields, RedirectContext, Route};
use crate::stack::{MaybeStacked, MaybeStackedFuture};

/// What answers the requests of a route.
pub type RouteService = MaybeStacked<MaybeCached<MissLimited<MaybeBuffered>>>;

/// What answers some of a route's requests.
pub struct SplitTarget {
    rules: SplitRules,
    services: Vec<Option<RouteService>>,
    random: Arc<dyn Random>,
}

impl SplitTarget {
    /// The rules name places in `services`.
    pub fn new(
        rules: SplitRules,
        services: Vec<Option<RouteService>>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self { rules, services, random }
    }

    /// What answers this request, where it is not the route's own.
    fn service(&self, request: &Request<Body>) -> Option<&Option<RouteService>> {
        self.services.get(self.rules.decide(request, &*self.random)?)
    }
}

impl std::fmt::Debug for SplitTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SplitTarget").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// What a route has beside its place in the table.
#[derive(Clone, Debug, Default)]
pub struct RouteTarget {
    /// What answers its requests; none for routes that answer themselves.
    pub service: Option<RouteService>,
    /// What answers some of them instead.
    pub split: Option<Arc<SplitTarget>>,
    /// The class of its requests.
    pub priority: Option<PriorityRules>,
    /// The largest content of a request.
    pub body_limit: Option<u64>,
    /// The whole time until the response head.
    pub total_timeout: Option<Duration>,
}

/// Does what the [`Matched`] in the request's extensions says. A clone is the same.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// In the order of the table.
    targets: Arc<[RouteTarget]>,
    /// The form in which `{client}` shows the client's address.
    privacy: Arc<AddressPrivacy>,
}

impl Dispatch {
    /// With the targets in the order of the table.
    pub fn new(targets: Vec<RouteTarget>) -> Self {
        Self { targets: targets.into(), privacy: Arc::default() }
    }

    /// The form in which `{client}` shows the client's address. Default: full.
    #[must_use]
    pub fn show_clients(mut self, privacy: AddressPrivacy) -> Self {
        self.privacy = Arc::new(privacy);
        self
    }

    /// Begins what the table said.
    pub(super) fn begin(&self, request: Request<Body>, matched: Matched) -> DispatchFuture {
        let exchange = Exchange::of(&request).cloned();
        let state = match matched {
            Matched::Route { route, rest } => self.follow(&route, rest, request, exchange.as_ref()),
            Matched::MethodNotAllowed(allow) => {
                let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
                Err(Box::new(refusal.field(header::ALLOW, allow)))
            }
            Matched::NotFound => Err(Box::new(Refusal::new(StatusCode::NOT_FOUND, "no_route"))),
        };
        let state = state.unwrap_or_else(|refusal| refused(*refusal, exchange.as_ref()));
        DispatchFuture { state }
    }

    fn follow(
        &self,
        route: &Arc<Route>,
        rest: usize,
        mut request: Request<Body>,
        exchange: Option<&Exchange>,
    ) -> Result<State, Box<Refusal>> {
        if matches!(route.action, Action::Upstream(_) | Action::Exec) && !route.has_field_rules() {
            // Nothing is written that a context is needed for: most routes.
            if !route.rewrite.is_empty() {
                *request.uri_mut() = rewritten(route, request.uri())?;
            }
            return self.forward(route, request, None, exchange);
        }
        let (target, method) = (request.uri().clone(), request.method().clone());
        let host = request.headers().get(header::HOST).cloned();
        let host = host.as_ref().and_then(|h| Authority::parse(h.to_str().ok()?));
        let host = host.map_or("", |authority| authority.host);
        let view = exchange.map_or(ClientAddr::unknown(), Exchange::client);
        let view = view.view(&*self.privacy);
        let id = exchange.map(Exchange::id);
        let context = FieldContext {
            method: &method,
            scheme: exchange.map_or("http", |x| x.connection().scheme),
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
                let rest = target.path().get(rest..).unwrap_or_default();
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
            Action::Upstream(_) | Action::Exec => {
                let prepared = (!route.request_fields.is_empty())
                    .then(|| route.request_fields.prepare(&context));
                if let Some(prepared) = prepared {
                    route.request_fields.apply(&prepared, request.headers_mut());
                }
                if !route.rewrite.is_empty() {
                    *request.uri_mut() = rewritten(route, &target)?;
                }
                self.forward(route, request, response_fields, exchange)
            }
        }
    }

    fn forward(
        &self,
        route: &Arc<Route>,
        mut request: Request<Body>,
        response_fields: Option<PreparedFields>,
        exchange: Option<&Exchange>,
    ) -> Result<State, Box<Refusal>> {
        let missing = || Box::new(Refusal::from_error(&ErrorKind::DestinationNotFound.into()));
        let own = self.targets.get(route.index).ok_or_else(missing)?;
        if let Some(rules) = &own.priority {
            priority::mark(rules, &mut request, exchange);
        }
        let other = own.split.as_ref().and_then(|split| split.service(&request));
        let mut service = other.unwrap_or(&own.service).clone().ok_or_else(missing)?;
        let (parts, body) = request.into_parts();
        let body = body_limit::limit(&parts.headers, body, own.body_limit)?;
        let inner = service.call(Request::from_parts(parts, body));
        Ok(State::Forwarding {
            inner,
            changes: response_fields.map(|fields| Box::new((Arc::clone(route), fields))),
            timeout: own.total_timeout.map(|total| Box::pin(sleep(total))),
            exchange: exchange.cloned(),
        })
    }
}

impl Service<Request<Body>> for Dispatch {
    type Response = Response<MaybeCachedBody>;
    type Error = Infallible;
    type Future = DispatchFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> DispatchFuture {
        let matched = request.extensions_mut().remove().unwrap_or(Matched::NotFound);
        self.begin(request, matched)
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
    State::Made { response: Some(Box::new(response.map(MaybeCachedBody::made))) }
}

fn refused(refusal: Refusal, exchange: Option<&Exchange>) -> State {
    let response = refusal.recorded(exchange, "gateway").into_response();
    State::Made { response: Some(Box::new(response.map(|body| MaybeCachedBody::Plain { body }))) }
}

pin_project! {
    /// The future of [`Dispatch`].
    pub struct DispatchFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProj]
    enum State {
        Made { response: Option<Box<Response<MaybeCachedBody>>> },
        Forwarding {
            #[pin]
            inner: MaybeStackedFuture<MaybeCachedFuture>,
            changes: Option<Box<(Arc<Route>, PreparedFields)>>,
            timeout: Option<Pin<Box<Sleep>>>,
            exchange: Option<Exchange>,
        },
    }
}

impl Future for DispatchFuture {
    type Output = Result<Response<MaybeCachedBody>, Infallible>;

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
                    let response = refusal.into_response();
                    return Poll::Ready(Ok(response.map(|body| MaybeCachedBody::Plain { body })));
                };
                if let Some(changes) = changes.take() {
                    changes.0.response_fields.apply(&changes.1, response.headers_mut());
                }
                Poll::Ready(Ok(response))
            }
        }
    }
}

impl std::fmt::Debug for DispatchFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DispatchFuture").finish_non_exhaustive()
    }
}
