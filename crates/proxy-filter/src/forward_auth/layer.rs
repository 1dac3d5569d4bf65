//! `ForwardAuthLayer`.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use metrics::Recorder;
use proxy_core::{Body, BoxError, Clock, Exchange, Reply};
use tower_layer::Layer;
use tower_service::Service;

use super::body::ForwardAuthBody;
use super::future::ForwardAuthFuture;
use super::metrics::Meters;
use super::{ForwardAuth, answer, question};

/// See the [module](super). A clone is the same.
pub struct ForwardAuthLayer<A> {
    authorities: Arc<Authorities<A>>,
}

/// Who is asked: about all requests, or about those of some routes.
struct Authorities<A> {
    all: Option<Arc<Authority<A>>>,
    routes: Vec<(Arc<str>, Arc<Authority<A>>)>,
}

/// A service that is asked, and what.
pub(super) struct Authority<A> {
    pub(super) service: A,
    pub(super) asks: Arc<ForwardAuth>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Meters,
}

impl<A> Authorities<A> {
    fn of(&self, exchange: Option<&Exchange>) -> Option<&Arc<Authority<A>>> {
        let route = exchange.filter(|_| !self.routes.is_empty()).and_then(Exchange::route);
        let own = route.and_then(|route| self.routes.iter().find(|(name, _)| name == route));
        own.map(|(_, own)| own).or(self.all.as_ref())
    }
}

impl<A> ForwardAuthLayer<A> {
    /// Asks `service` about every request.
    pub fn new(service: A, asks: ForwardAuth, clock: Arc<dyn Clock>) -> Self {
        let (asks, metrics) = (Arc::new(asks), Meters::default());
        let authority = Authority { service, asks, clock, metrics };
        let all = Some(Arc::new(authority));
        Self { authorities: Arc::new(Authorities { all, routes: Vec::new() }) }
    }

    /// Asks about nothing, but what [`route`](Self::route) says.
    pub fn for_routes() -> Self {
        Self { authorities: Arc::new(Authorities { all: None, routes: Vec::new() }) }
    }

    /// Asks `service` about requests of the route of this name in the [`Exchange`], and counts in
    /// the recorder, if there is one.
    #[must_use]
    pub fn route(
        self,
        name: impl Into<Arc<str>>,
        service: A,
        asks: ForwardAuth,
        clock: Arc<dyn Clock>,
        recorder: Option<&dyn Recorder>,
    ) -> Self {
        let metrics = recorder.map(|own| Meters::new(&asks.service, own)).unwrap_or_default();
        let authority = Authority { service, asks: Arc::new(asks), clock, metrics };
        let mut routes = self.authorities.routes.clone();
        routes.push((name.into(), Arc::new(authority)));
        let all = self.authorities.all.clone();
        Self { authorities: Arc::new(Authorities { all, routes }) }
    }
}

impl<A> Clone for ForwardAuthLayer<A> {
    fn clone(&self) -> Self {
        Self { authorities: Arc::clone(&self.authorities) }
    }
}

impl<A> fmt::Debug for ForwardAuthLayer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Authorities { all, routes } = &*self.authorities;
        let routes: Vec<_> = routes.iter().map(|(name, own)| (name, &own.asks)).collect();
        f.debug_struct("ForwardAuthLayer")
            .field("all", &all.as_ref().map(|own| &own.asks))
            .field("routes", &routes)
            .finish()
    }
}

impl<S, A> Layer<S> for ForwardAuthLayer<A> {
    type Service = ForwardAuthorized<S, A>;
    fn layer(&self, inner: S) -> ForwardAuthorized<S, A> {
        ForwardAuthorized { inner, authorities: Arc::clone(&self.authorities) }
    }
}

/// The service of [`ForwardAuthLayer`].
pub struct ForwardAuthorized<S, A> {
    inner: S,
    authorities: Arc<Authorities<A>>,
}

impl<S: Clone, A> Clone for ForwardAuthorized<S, A> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), authorities: Arc::clone(&self.authorities) }
    }
}

impl<S: fmt::Debug, A> fmt::Debug for ForwardAuthorized<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardAuthorized").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, A, ReqB, ResB> Service<Request<ReqB>> for ForwardAuthorized<S, A>
where
    S: Service<Request<ForwardAuthBody<ReqB>>, Response = Response<ResB>> + Clone,
    A: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    A::Future: Send,
    A::Error: Into<BoxError>,
{
    type Response = Response<Reply<ResB>>;
    type Error = S::Error;
    type Future = ForwardAuthFuture<S, ForwardAuthBody<ReqB>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqB>) -> Self::Future {
        let exchange = Exchange::of(&request);
        let Some(authority) = self.authorities.of(exchange) else {
            let request = request.map(ForwardAuthBody::unasked);
            return ForwardAuthFuture::passing(self.inner.call(request));
        };
        let exchange = exchange.cloned();
        let asks = &authority.asks;
        if let Some(exchange) = exchange.as_ref().filter(|exchange| exchange.is_rehearsal()) {
            answer::rehearsed(exchange, asks);
            asks.disbelieve(request.headers_mut());
            let request = request.map(|body| ForwardAuthBody::asked(body, asks));
            return ForwardAuthFuture::passing(self.inner.call(request));
        }
        let question = question::of(&request, asks);
        asks.disbelieve(request.headers_mut());
        let request = request.map(|body| ForwardAuthBody::asked(body, asks));
        let asks = Arc::clone(asks);
        let asking = Box::pin(answer::ask(Arc::clone(authority), question));
        // The service that was polled gets the request.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        ForwardAuthFuture::asking(asking, asks, inner, request, exchange)
    }
}
