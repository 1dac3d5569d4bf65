//! The forward role: requests in absolute-form go to where they say, CONNECT opens a tunnel.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use proxy_cache::CacheLayer;
use proxy_core::target::Authority;
use proxy_core::{
    Attempt, Body, BoxError, ErrorKind, Exchange, NameSet, ProxyError, Refusal, Reply, Sending,
};
use proxy_server::{Limiter, TunnelUpstream};
use proxy_upstream::dial::{DialTarget, Dialer, Trust};
use proxy_upstream::guard::PortPolicy;
use proxy_upstream::{ForwardFuture, ForwardProxy};
use tokio::time::timeout;
use tower_service::Service;

use crate::access::ListenerAccess;
use crate::body_limit;
use crate::cache::{MaybeCached, MaybeCachedBody, MaybeCachedFuture};

/// The forward role of one listener. A clone is the same.
#[derive(Clone, Debug)]
pub struct ForwardRole {
    shared: Arc<Shared>,
    proxy: MaybeCached<ForwardProxy>,
    tunnels: MaybeCached<Tunnels>,
}

#[derive(Debug)]
struct Shared {
    access: ListenerAccess,
    /// Where given, only these names may be asked for.
    only_domains: Option<NameSet>,
    body_limit: Option<u64>,
}

impl ForwardRole {
    /// Serves requests by `proxy`, behind the cache where there is one, and CONNECT by `tunnels`.
    /// Where `only_domains` is given, no
    /// other name may be asked for.
    pub fn new(
        access: ListenerAccess,
        only_domains: Option<NameSet>,
        body_limit: Option<u64>,
        proxy: ForwardProxy,
        cache: Option<&CacheLayer>,
        tunnels: Tunnels,
    ) -> Self {
        Self {
            shared: Arc::new(Shared { access, only_domains, body_limit }),
            proxy: MaybeCached::new(proxy, cache),
            tunnels: MaybeCached::new(tunnels, None),
        }
    }
}

impl Shared {
    fn judge(&self, request: &Request<Body>) -> Result<(), Box<Refusal>> {
        self.access.judge(Exchange::of(request))?;
        if let Some(only) = &self.only_domains {
            let authority = request.uri().authority();
            let host = authority.and_then(|a| Authority::parse(a.as_str())).map(|a| a.host);
            if host.is_none_or(|host| only.longest(host).is_none()) {
                return Err(Box::new(Refusal::new(StatusCode::FORBIDDEN, "domain_not_allowed")));
            }
        }
        Ok(())
    }
}

impl<B> Service<Request<B>> for ForwardRole
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Reply<MaybeCachedBody>>;
    type Error = Infallible;
    type Future = ForwardRoleFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ForwardRoleFuture {
        let exchange = Exchange::of(&request).cloned();
        let request = request.map(Body::new);
        let refuse = |refusal: Box<Refusal>| ForwardRoleFuture {
            state: State::Refused {
                refusal: Some(Box::new(refusal.recorded(exchange.as_ref(), "forward"))),
            },
        };
        if let Err(refusal) = self.shared.judge(&request) {
            return refuse(refusal);
        }
        let inner = if *request.method() == Method::CONNECT {
            self.tunnels.call(request)
        } else {
            let (parts, body) = request.into_parts();
            match body_limit::limit(&parts.headers, body, self.shared.body_limit) {
                Ok(body) => self.proxy.call(Request::from_parts(parts, body)),
                Err(refusal) => return refuse(refusal),
            }
        };
        ForwardRoleFuture { state: State::Inner { inner } }
    }
}

pin_project! {
    /// The future of [`ForwardRole`].
    pub struct ForwardRoleFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProj]
    enum State {
        Refused { refusal: Option<Box<Refusal>> },
        Inner { #[pin] inner: MaybeCachedFuture },
    }
}

impl Future for ForwardRoleFuture {
    type Output = Result<Response<Reply<MaybeCachedBody>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Refused { refusal } => {
                Poll::Ready(Ok(refusal.take().expect("polled after completion").into_response()))
            }
            StateProj::Inner { inner } => inner.poll(cx).map_ok(|r| r.map(Reply::inner)),
        }
    }
}

impl std::fmt::Debug for ForwardRoleFuture {
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
}

impl Tunnels {
    /// Connects by `dialer` to these ports, no more tunnels at a time than `limiter` has places.
    pub fn new(
        dialer: Dialer,
        ports: PortPolicy,
        limiter: Limiter,
        connect_timeout: Duration,
    ) -> Self {
        Self { dialer, ports: Arc::new(ports), limiter, connect_timeout }
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
        let Self { dialer, ports, limiter, connect_timeout } = self.clone();
        let exchange = Exchange::of(&request).cloned();
        Box::pin(async move {
            let bad = || ProxyError::new(ErrorKind::HttpRequestError);
            let authority = request.uri().authority().ok_or_else(bad)?;
            let Authority { host, port } = Authority::parse(authority.as_str()).ok_or_else(bad)?;
            let port = port.ok_or_else(bad)?;
            ports.judge(port)?;
            let target = DialTarget { host, port, trust: Trust::Client };
            if let Some(exchange) = exchange.as_ref().filter(|x| x.is_rehearsal()) {
                let mut sending = Sending::new(&request, host, port);
                sending.addresses = dialer.foresee(target)?;
                sending.protocol = "tunnel";
                sending.record(exchange);
                return Ok(Response::new(Body::empty()));
            }
            let client =
                exchange.as_ref().map_or(proxy_core::ClientAddr::unknown(), Exchange::client);
            let place = limiter.take(client).map_err(|_| {
                ProxyError::new(ErrorKind::ConnectionLimitReached).detail("tunnels")
            })?;
            let dialed = timeout(connect_timeout, dialer.dial(target))
                .await
                .unwrap_or_else(|_| Err(ErrorKind::ConnectionTimeout.into()));
            let mut attempt = Attempt::default();
            let dialed = match dialed {
                Ok(dialed) => {
                    dialed.note(&mut attempt);
                    Ok(dialed)
                }
                Err(error) => {
                    attempt.error = Some(error.kind());
                    Err(error)
                }
            };
            if let Some(exchange) = &exchange {
                exchange.with_attempts(|attempts| attempts.push(attempt));
            }
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(TunnelUpstream::new(dialed?.stream).keeping(place));
            Ok(response)
        })
    }
}
