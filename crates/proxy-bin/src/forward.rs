//! The forward role: requests in absolute-form go to where they say, CONNECT opens a tunnel.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::VIA;
use http::{Method, Request, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use proxy_core::target::Authority;
use proxy_core::{
    Attempt, Body, BoxError, Decision, ErrorKind, Exchange, OpeningLimits, ProxyError, Refusal,
    RequestHead, Sending, TunnelCheck, Verdict,
};
use proxy_filter::bandwidth::{BandwidthLimiter, Pacer};
use proxy_filter::tunnel::TunnelRules;
use proxy_server::{Limiter, TunnelStream, TunnelUpstream};
use proxy_upstream::dial::parent::{Parent, PassedVia};
use proxy_upstream::dial::{DialTarget, DialedStream, Dialer, Trust};
use proxy_upstream::guard::PortPolicy;
use proxy_upstream::{ForwardFuture, ForwardProxy};
use tower_service::Service;

use crate::access::ListenerAccess;
use crate::body_limit;
use crate::cache::{MaybeCached, MaybeCachedBody, MaybeCachedFuture};
use crate::intercept::Interceptor;
use crate::miss_limited::MissLimited;
use crate::paced_stream::PacedStream;
use crate::severing::Severing;
use crate::stack::{MaybeStacked, MaybeStackedFuture};

/// The forward role of one listener. A clone is the same.
#[derive(Clone, Debug)]
pub struct ForwardRole {
    shared: Arc<Shared>,
    inner: MaybeStacked<ForwardDispatch>,
}

#[derive(Debug)]
struct Shared {
    access: ListenerAccess,
}

impl ForwardRole {
    /// Serves by `inner` the clients that `access` permits.
    pub fn new(access: ListenerAccess, inner: MaybeStacked<ForwardDispatch>) -> Self {
        Self { shared: Arc::new(Shared { access }), inner }
    }
}

impl<B> Service<Request<B>> for ForwardRole
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<MaybeCachedBody>;
    type Error = Infallible;
    type Future = ForwardRoleFuture<MaybeStackedFuture<ForwardDispatchFuture>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let request = request.map(Body::new);
        match self.shared.access.judge(Exchange::of(&request)) {
            Ok(()) => ForwardRoleFuture::Inner { inner: self.inner.call(request) },
            Err(refusal) => ForwardRoleFuture::refused(*refusal, Exchange::of(&request)),
        }
    }
}

/// What the forward role does with a request that nothing refused. A clone is the same.
#[derive(Clone, Debug)]
pub struct ForwardDispatch {
    proxy: MaybeStacked<MaybeCached<MissLimited<ForwardProxy>>>,
    tunnels: MaybeCached<Tunnels>,
    body_limit: Option<u64>,
}

/// The future of [`ForwardDispatch`].
pub type ForwardDispatchFuture = ForwardRoleFuture<MaybeStackedFuture<MaybeCachedFuture>>;

impl ForwardDispatch {
    /// Serves requests by `proxy`, with content of at most `body_limit` bytes, and CONNECT by
    /// `tunnels`.
    pub fn new(
        proxy: MaybeStacked<MaybeCached<MissLimited<ForwardProxy>>>,
        tunnels: Tunnels,
        body_limit: Option<u64>,
    ) -> Self {
        Self { proxy, tunnels: MaybeCached::new(tunnels, None), body_limit }
    }
}

impl Service<Request<Body>> for ForwardDispatch {
    type Response = Response<MaybeCachedBody>;
    type Error = Infallible;
    type Future = ForwardDispatchFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ForwardDispatchFuture {
        let inner = if *request.method() == Method::CONNECT {
            MaybeStackedFuture::Plain { inner: self.tunnels.call(request) }
        } else {
            let (parts, body) = request.into_parts();
            match body_limit::limit(&parts.headers, body, self.body_limit) {
                Ok(body) => self.proxy.call(Request::from_parts(parts, body)),
                Err(refusal) => {
                    let exchange = parts.extensions.get::<Exchange>();
                    return ForwardRoleFuture::refused(*refusal, exchange);
                }
            }
        };
        ForwardRoleFuture::Inner { inner }
    }
}

pin_project! {
    /// The future of [`ForwardRole`] and its dispatch: a refusal, or what is below.
    #[project = FutureProj]
    #[allow(missing_docs, reason = "the macro takes no docs on variants' fields")]
    pub enum ForwardRoleFuture<F> {
        /// Refused here.
        Refused { response: Option<Box<Response<MaybeCachedBody>>> },
        /// What is below.
        Inner { #[pin] inner: F },
    }
}

impl<F> ForwardRoleFuture<F> {
    fn refused(refusal: Refusal, exchange: Option<&Exchange>) -> Self {
        let response = refusal.recorded(exchange, "forward").into_response();
        let response = response.map(|body| MaybeCachedBody::Plain { body });
        Self::Refused { response: Some(Box::new(response)) }
    }
}

impl<F> Future for ForwardRoleFuture<F>
where
    F: Future<Output = Result<Response<MaybeCachedBody>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            FutureProj::Refused { response } => {
                Poll::Ready(Ok(*response.take().expect("polled after completion")))
            }
            FutureProj::Inner { inner } => inner.poll(cx),
        }
    }
}

impl<F> std::fmt::Debug for ForwardRoleFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForwardRoleFuture").finish_non_exhaustive()
    }
}

/// Answers CONNECT: 200 only once the upstream connection stands.
#[derive(Clone, Debug)]
pub struct Tunnels {
    dialer: Dialer,
    ports: Arc<PortPolicy>,
    limiter: Limiter,
    connect_timeout: Duration,
    /// What a tunnel may begin with, and how long and how much of that is waited for.
    opening: Option<(Arc<TunnelRules>, OpeningLimits)>,
    /// How fast its bytes may flow; the first is the outermost.
    bandwidth: Arc<[Arc<BandwidthLimiter>]>,
    /// What opens tunnels, where any are.
    interceptor: Option<Interceptor>,
    /// What judges again those that are being opened.
    severing: Severing,
}

impl Tunnels {
    /// Connects by `dialer` to these ports, no more tunnels at a time than `limiter` has places.
    pub fn new(
        dialer: Dialer,
        ports: PortPolicy,
        limiter: Limiter,
        connect_timeout: Duration,
    ) -> Self {
        let (ports, bandwidth) = (Arc::new(ports), Arc::default());
        let (opening, interceptor) = (None, None);
        let severing = Severing::default();
        Self { dialer, ports, limiter, connect_timeout, opening, bandwidth, interceptor, severing }
    }

    /// Opens no tunnel that was severed while it was being opened.
    #[must_use]
    pub fn severed_by(mut self, severing: Severing) -> Self {
        self.severing = severing;
        self
    }

    /// Reads what each tunnel begins with, where the rules ask for that.
    #[must_use]
    pub fn beginning_by(mut self, rules: TunnelRules, limits: OpeningLimits) -> Self {
        self.opening = Some((Arc::new(rules), limits));
        self
    }

    /// Lets bytes flow no faster than these limits say, both ways.
    #[must_use]
    pub fn paced_by(mut self, limiters: &[Arc<BandwidthLimiter>]) -> Self {
        self.bandwidth = limiters.into();
        self
    }

    /// Opens the tunnels that this asks for.
    #[must_use]
    pub fn intercepted_by(mut self, interceptor: Interceptor) -> Self {
        self.interceptor = Some(interceptor);
        self
    }
}

impl Service<Request<Body>> for Tunnels {
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = ForwardFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ForwardFuture {
        let Self {
            dialer,
            ports,
            limiter,
            connect_timeout,
            opening,
            bandwidth,
            interceptor,
            severing,
        } = self.clone();
        let asked = severing.times();
        let exchange = Exchange::of(&request).cloned();
        let pacers = bandwidth.iter().map(|own| own.pacers(&RequestHead::of(&request)));
        let pacers: Vec<_> = pacers.filter(|both| both.iter().any(Option::is_some)).collect();
        Box::pin(async move {
            let bad = || ProxyError::new(ErrorKind::HttpRequestError);
            let authority = request.uri().authority().ok_or_else(bad)?;
            let Authority { host, port } = Authority::parse(authority.as_str()).ok_or_else(bad)?;
            let port = port.ok_or_else(bad)?;
            ports.judge(port)?;
            let (trust, exchange) = (Trust::Client, exchange.as_ref());
            let interceptor = interceptor.filter(|own| match (own.asks_for(host), exchange) {
                (Some(name), Some(exchange)) => {
                    Interceptor::note(name, exchange);
                    true
                }
                _ => false,
            });
            let target = DialTarget { host, port, trust, exchange };
            if let (Some(_), Some(exchange)) = (dialer.parent_of(&target), exchange)
                && let Some(via) = request.headers().get(VIA)
            {
                exchange.insert(PassedVia(via.clone()));
            }
            if let Some(exchange) = exchange.filter(|x| x.is_rehearsal()) {
                let mut sending = Sending::new(&request, host, port);
                sending.addresses = dialer.foresee(target)?;
                sending.parent = dialer.parent_of(&target).map(Parent::name);
                sending.parent_choice = dialer.foresee_place(&target);
                sending.protocol = "tunnel";
                sending.record(exchange);
                if opening.is_some_and(|(rules, _)| rules.asks(port)) {
                    exchange.decide(Decision {
                        layer: "tunnel",
                        rule: None,
                        verdict: Verdict::Allow,
                        reason: "so far: what the client begins with is judged later".into(),
                    });
                }
                return Ok(Response::new(Body::empty()));
            }
            let client = exchange.map_or(proxy_core::ClientAddr::unknown(), Exchange::client);
            let place = limiter.take(client).map_err(|_| {
                ProxyError::new(ErrorKind::ConnectionLimitReached).detail("tunnels")
            })?;
            let mut upstream = match interceptor {
                Some(interceptor) => interceptor.open(target, connect_timeout).await?,
                // What is found inside is paced by itself.
                None => paced(dial(&dialer, target, connect_timeout).await?, pacers),
            };
            if let Some(exchange) = exchange {
                let permitted = severing.permits(asked, exchange).await;
                let asked = permitted.ok_or_else(|| {
                    ProxyError::new(ErrorKind::HttpRequestDenied).detail("severed")
                })?;
                upstream = upstream.while_true(move || severing.times() == asked);
            }
            upstream = upstream.keeping(place);
            let mut response = Response::new(Body::empty());
            if let Some((policy, limits)) = opening.filter(|(rules, _)| rules.asks(port)) {
                upstream =
                    upstream.checked(TunnelCheck { policy, host: host.into(), port, limits });
            }
            response.extensions_mut().insert(upstream);
            Ok(response)
        })
    }
}

/// The upstream end of a tunnel, below limits of bandwidth; the first is the outermost.
fn paced(stream: impl TunnelStream + 'static, pacers: Vec<[Option<Pacer>; 2]>) -> TunnelUpstream {
    if pacers.is_empty() {
        return TunnelUpstream::new(stream);
    }
    let bare: Box<dyn TunnelStream> = Box::new(stream);
    let pace = |inner, pacers| Box::new(PacedStream::new(inner, pacers)) as Box<dyn TunnelStream>;
    TunnelUpstream::new(pacers.into_iter().rev().fold(bare, pace))
}

/// Connects, and writes down the attempt.
pub(crate) async fn dial(
    dialer: &Dialer,
    target: DialTarget<'_>,
    connect_timeout: Duration,
) -> Result<DialedStream, ProxyError> {
    if let Some(exchange) = target.exchange {
        exchange.with_attempts(|attempts| attempts.push(Attempt::default()));
    }
    let dialed = dialer.dial_within(target, connect_timeout).await;
    let write = |attempt: &mut Attempt| match &dialed {
        Ok(dialed) => dialed.note(attempt),
        Err(error) => attempt.error = Some(error.kind()),
    };
    if let Some(exchange) = target.exchange {
        exchange.with_attempts(|attempts| attempts.last_mut().map(write));
    }
    Ok(dialed?.stream)
}
