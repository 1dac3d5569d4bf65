//! `HygieneLayer`: a request becomes one that two servers can only read one way.
//!
//! ```
//! use proxy_core::hygiene::{HygieneLayer, Role};
//! use tower::ServiceBuilder;
//! let stack = ServiceBuilder::new().layer(HygieneLayer::new(Role::Gateway, "proxyd-1a2b3c4d"));
//! ```
//!
//! It checks target form, `Host`, lengths and `Expect`; brings the path to its normal form;
//! removes hop-by-hop fields both ways; keeps `Via`, finds loops, counts down `Max-Forwards`
//! (RFC 9110 section 7). What it removes it writes to the exchange's
//! [`RequestFacts`](crate::RequestFacts) first. The request that goes on is HTTP/1.1 with exactly
//! one `Host`; in the gateway role its target is in origin-form.
//!
//! # Ordering
//! Before everything that reads target or fields.
//!
//! # Errors and responses
//! Refuses with 400, 405, 417, 421, 501 or 508; a refusal for its framing or target closes the
//! connection. 421 (RFC 9110 section 15.5.20): a gateway's client asked over TLS for another host
//! than its handshake was for.
//!
//! # Cancellation
//! Holds nothing.
//!
//! # Metrics
//! None; decisions are in the exchange.

mod request;
mod via;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{ALT_SVC, HOST, STRICT_TRANSPORT_SECURITY};
use http::{HeaderValue, Request, Response, Version};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::Reply;
use crate::exchange::Exchange;
use crate::fields;
use crate::refusal::Refusal;
use crate::target::{Authority, PathPolicy};
use request::Outcome;
use via::Via;

/// What a listener is there for; it decides which target forms are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A reverse proxy: requests name a resource of ours. CONNECT is 405.
    Gateway,
    /// A forward proxy: requests name the server to go to. Origin-form is 400.
    Forward,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct HygieneLayer {
    config: Arc<Config>,
}

#[derive(Clone, Debug)]
struct Config {
    role: Role,
    via: Via,
    path: PathPolicy,
    /// `Strict-Transport-Security` of responses over TLS.
    strict_transport: Option<HeaderValue>,
    /// For how many seconds clients may know of HTTP/3.
    http3_for: Option<u64>,
}

impl HygieneLayer {
    /// `via_name` is what this proxy calls itself in `Via`; two in a row need different names.
    /// Bytes that no token may hold become `-`.
    pub fn new(role: Role, via_name: &str) -> Self {
        let path = PathPolicy::default();
        let (via, strict_transport) = (Via::new(via_name), None);
        Self { config: Arc::new(Config { role, via, path, strict_transport, http3_for: None }) }
    }

    /// How paths are brought to their normal form.
    #[must_use]
    pub fn path_policy(self, path: PathPolicy) -> Self {
        Self { config: Arc::new(Config { path, ..(*self.config).clone() }) }
    }
}

impl HygieneLayer {
    /// What responses over TLS say in `Strict-Transport-Security` (RFC 6797 section 6.1), in the
    /// place of what an upstream says. Default: nothing is added.
    #[must_use]
    pub fn strict_transport(self, strict_transport: Option<HeaderValue>) -> Self {
        Self { config: Arc::new(Config { strict_transport, ..(*self.config).clone() }) }
    }

    /// Tells clients of HTTP/1 and HTTP/2 over TLS in `Alt-Svc` (RFC 7838), in the place of what an
    /// upstream says, that the port they asked speaks HTTP/3 too, and for how many seconds they may
    /// count on it. Default: nothing is said.
    #[must_use]
    pub fn http3_for(self, http3_for: Option<u64>) -> Self {
        Self { config: Arc::new(Config { http3_for, ..(*self.config).clone() }) }
    }
}

/// The same host and port by HTTP/3. The port is the one that the client asked: ours may have
/// another number, behind whoever maps it.
fn alternative(host: Option<&HeaderValue>, seconds: u64) -> Option<HeaderValue> {
    let port = Authority::parse(host?.to_str().ok()?)?.port.unwrap_or(443);
    HeaderValue::try_from(format!("h3=\":{port}\"; ma={seconds}")).ok()
}

impl<S> Layer<S> for HygieneLayer {
    type Service = Hygiene<S>;
    fn layer(&self, inner: S) -> Hygiene<S> {
        Hygiene { inner, config: Arc::clone(&self.config) }
    }
}

/// The service of [`HygieneLayer`].
#[derive(Clone, Debug)]
pub struct Hygiene<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Hygiene<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
{
    type Response = Response<Reply<ResB>>;
    type Error = S::Error;
    type Future = HygieneFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqB>) -> Self::Future {
        let exchange = Exchange::of(&request).cloned();
        // The client's: what goes on has ours.
        let version = request.version();
        let state = match self.config.clean(&mut request) {
            Outcome::Forward => {
                let tls = exchange.as_ref().is_some_and(|x| x.connection().tls.is_some());
                let secure = tls && self.config.strict_transport.is_some();
                let alternative = match self.config.http3_for {
                    Some(seconds) if tls && version < Version::HTTP_3 => {
                        alternative(request.headers().get(HOST), seconds)
                    }
                    _ => None,
                };
                let inner = self.inner.call(request);
                State::Inner { inner, config: Arc::clone(&self.config), secure, alternative }
            }
            Outcome::Refuse(refusal) => State::Refused {
                refusal: Some(Box::new(refusal.recorded(exchange.as_ref(), "hygiene"))),
            },
            Outcome::Answer(echo) => State::Answered { echo: Some(echo) },
        };
        HygieneFuture { state }
    }
}

pin_project! {
    /// The future of [`Hygiene`].
    #[derive(Debug)]
    pub struct HygieneFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Inner {
            #[pin]
            inner: F,
            config: Arc<Config>,
            secure: bool,
            alternative: Option<HeaderValue>,
        },
        Refused { refusal: Option<Box<Refusal>> },
        Answered { echo: Option<Box<Response<bytes::Bytes>>> },
    }
}

impl<F, ResB, E> Future for HygieneFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<Reply<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Inner { inner, config, secure, alternative } => {
                let mut response = ready!(inner.poll(cx))?;
                // What a layer of ours made has nothing of another hop in it.
                if response.extensions().get::<Refusal>().is_none() {
                    let version = response.version();
                    fields::remove_hop_by_hop(response.headers_mut());
                    config.via.append(response.headers_mut(), version);
                    // Ours, not the upstream's (RFC 9110 section 2.5).
                    *response.version_mut() = Version::HTTP_11;
                }
                if *secure && let Some(value) = &config.strict_transport {
                    response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, value.clone());
                }
                if let Some(alternative) = alternative.take() {
                    response.headers_mut().insert(ALT_SVC, alternative);
                }
                Poll::Ready(Ok(response.map(Reply::inner)))
            }
            StateProj::Refused { refusal } => {
                let refusal = refusal.take().expect("polled after completion");
                Poll::Ready(Ok(refusal.into_response()))
            }
            StateProj::Answered { echo } => {
                let echo = echo.take().expect("polled after completion");
                Poll::Ready(Ok(echo.map(Reply::made)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
