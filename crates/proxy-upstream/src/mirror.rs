//! `MirrorLayer`: a copy of requests for another service, whose answers nobody gets.
//!
//! The inner service has the request, as if nobody looked on. Its content is copied while it
//! passes; once all of it has passed, the copy goes to the other service, in a task of its own.
//! Nothing that the other service does, or does not do, is waited for.
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//! use http::{Request, Response};
//! use proxy_core::{Body, SystemClock, TokioSpawn};
//! use proxy_upstream::balance::SeededRandom;
//! use proxy_upstream::mirror::{MirrorConfig, MirrorLayer, MirrorMeans};
//! use tower::{ServiceBuilder, service_fn};
//!
//! let shadow = service_fn(|_: Request<Body>| async {
//!     Ok::<_, Infallible>(Response::new(Body::empty()))
//! });
//! let config = MirrorConfig { share: 0.1, ..MirrorConfig::new("shadow") };
//! let means = MirrorMeans {
//!     clock: Arc::new(SystemClock),
//!     spawn: Arc::new(TokioSpawn),
//!     random: Arc::new(SeededRandom::new(1)),
//!     recorder: None,
//! };
//! let stack = ServiceBuilder::new().layer(MirrorLayer::new(shadow, config, &means));
//! ```
//!
//! # Bounds
//! At most [`max_requests`](MirrorConfig::max_requests) copies at a time, from the begin of the
//! request to the end of the other service's answer; more are not made. Content up to
//! [`body`](MirrorConfig::body); a request with more is not copied, and none is copied in part. So
//! the memory is the product of the two at most. A request that is slow with its content has its
//! place all the while: many of them cost the copies of others, and nothing else. Of an answer at most [`MAX_ANSWER`] is read, within
//! [`timeout`](MirrorConfig::timeout).
//!
//! # What a copy has
//! Method, target, fields and content; no hop-by-hop fields, no `Expect`, no credentials for a
//! proxy, no trailer fields, and nothing that [`remove`](MirrorConfig::remove) names.
//!
//! # Ordering
//! Above a cache it copies every request, below one those that the cache could not answer. Behind
//! everything that refuses.
//!
//! # Errors and responses
//! Those of the inner service.
//!
//! # Cancellation
//! A request whose future or content is dropped before all of it has passed is not copied. Copies
//! under way go on.
//!
//! # Metrics
//! `proxy_upstream_mirrored_requests_total` by `upstream` and `outcome`.

mod body;
mod copy;
mod meters;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body::Body as HttpBody;
use metrics::Recorder;
use proxy_core::{Body, BoxError, Clock, Decision, Exchange, Spawn, Verdict};
use tower_layer::Layer;
use tower_service::Service;

use crate::balance::Random;
use copy::{Copy, Place, Recipient};
use meters::{Meters, Outcome};

pub use body::MirrorBody;
pub use copy::MAX_ANSWER;

/// The name in decisions.
const LAYER: &str = "mirror";

/// What is copied, and how much of it.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorConfig {
    /// What the other service is called in decisions and metrics.
    pub name: Arc<str>,
    /// The share of requests, from 0 to 1. Default: 1.
    pub share: f64,
    /// Bytes of content that a copy may have. Default: 64 KiB.
    pub body: usize,
    /// Copies at a time. Default: 64.
    pub max_requests: usize,
    /// How long the other service may take. Default: 10 s.
    pub timeout: Duration,
    /// Fields that copies do not have. Default: none but those of one hop.
    pub remove: Vec<HeaderName>,
}

impl MirrorConfig {
    /// All requests, within the default bounds.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            share: 1.0,
            body: 64 * 1024,
            max_requests: 64,
            timeout: Duration::from_secs(10),
            remove: Vec::new(),
        }
    }
}

/// What a mirror needs that is not its own.
#[derive(Clone)]
pub struct MirrorMeans<'a> {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Runs what sends copies.
    pub spawn: Arc<dyn Spawn>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Where metrics go, if anywhere.
    pub recorder: Option<&'a dyn Recorder>,
}

impl fmt::Debug for MirrorMeans<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MirrorMeans")
    }
}

/// See the [module](self). A clone shares the bounds.
#[derive(Clone)]
pub struct MirrorLayer {
    shared: Arc<Shared>,
}

struct Shared {
    config: MirrorConfig,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    random: Arc<dyn Random>,
    meters: Meters,
    /// Copies now.
    copies: AtomicUsize,
    service: Box<dyn Recipient>,
}

impl MirrorLayer {
    /// Sends copies to `service`.
    pub fn new<M>(service: M, config: MirrorConfig, means: &MirrorMeans<'_>) -> Self
    where
        M: Service<Request<Body>, Response = Response<Body>>,
        M: Clone + Send + Sync + 'static,
        M::Future: Send,
        M::Error: Into<BoxError>,
    {
        let meters = Meters::new(&config.name, means.recorder);
        let MirrorMeans { clock, spawn, random, .. } = means.clone();
        let (copies, service) = (AtomicUsize::new(0), Box::new(service));
        Self { shared: Arc::new(Shared { config, clock, spawn, random, meters, copies, service }) }
    }
}

impl fmt::Debug for MirrorLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MirrorLayer").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for MirrorLayer {
    type Service = Mirrored<S>;
    fn layer(&self, inner: S) -> Mirrored<S> {
        Mirrored { inner, shared: Arc::clone(&self.shared) }
    }
}

/// The service of [`MirrorLayer`].
#[derive(Clone)]
pub struct Mirrored<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S: fmt::Debug> fmt::Debug for Mirrored<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirrored").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Mirrored<S>
where
    S: Service<Request<MirrorBody<ReqB>>, Response = Response<ResB>>,
    ReqB: HttpBody<Data = Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> S::Future {
        let copy = self.shared.copy(&request);
        let (parts, body) = request.into_parts();
        self.inner.call(Request::from_parts(parts, MirrorBody::new(body, copy)))
    }
}

impl Shared {
    /// The copy of a request, still without content; none where it is not to be copied.
    fn copy<B: HttpBody>(self: &Arc<Self>, request: &Request<B>) -> Option<Copy> {
        let exchange = Exchange::of(request);
        if let Some(exchange) = exchange.filter(|exchange| exchange.is_rehearsal()) {
            let reason = match self.config.share {
                share if share < 1.0 => "so far: a share of requests is copied",
                _ => "so far: a copy is sent once the request has passed",
            };
            self.decide(exchange, reason);
            return None;
        }
        if self.config.share < 1.0 && self.random.fraction() >= self.config.share {
            return None;
        }
        if request.body().size_hint().lower() > self.config.body as u64 {
            self.meters.count(Outcome::TooLarge);
            return None;
        }
        let Some(place) = Place::take(self) else {
            self.meters.count(Outcome::Busy);
            return None;
        };
        if let Some(exchange) = exchange {
            // Whether it is sent shows only when the request has passed; the metric counts that.
            self.decide(exchange, "to be copied");
        }
        Some(Copy::new(request, place))
    }

    fn decide(&self, exchange: &Exchange, reason: &'static str) {
        let rule = Some(Arc::clone(&self.config.name));
        let (verdict, reason) = (Verdict::Allow, reason.into());
        exchange.decide(Decision { layer: LAYER, rule, verdict, reason });
    }
}

#[cfg(test)]
mod tests;
