//! `RateLimitLayer`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use proxy_core::{Refusal, Reply, RequestHead};
use tower_layer::Layer;
use tower_service::Service;

use super::fields::Advertised;
use super::key::Applies;
use super::limiter::{Judged, RateLimiter};

/// Refuses requests beyond a rate. See the [module](super).
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    limiters: Arc<[Member]>,
}

/// A limit in a layer, and the requests that it holds for there.
#[derive(Clone)]
pub struct Member {
    limiter: Arc<RateLimiter>,
    when: Option<Applies>,
}

impl Member {
    /// Holds only for requests of which this is true, beside what the limit itself says.
    pub fn when(
        limiter: Arc<RateLimiter>,
        when: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { limiter, when: Some(Arc::new(when)) }
    }

    fn judge(&self, head: &RequestHead<'_>) -> Option<Judged> {
        match &self.when {
            Some(when) if !when(head) => None,
            _ => self.limiter.judge(head),
        }
    }

    fn give_back(&self, head: &RequestHead<'_>) {
        if self.when.as_ref().is_none_or(|when| when(head)) {
            self.limiter.give_back(head);
        }
    }
}

impl From<Arc<RateLimiter>> for Member {
    fn from(limiter: Arc<RateLimiter>) -> Self {
        Self { limiter, when: None }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limiter.fmt(f)
    }
}

impl RateLimitLayer {
    /// A layer of one limit, with the system's clock.
    ///
    /// # Panics
    /// Where the limit can not be: see [`RateLimit::start`](super::RateLimit::start).
    #[cfg(feature = "tokio")]
    pub fn new(limit: super::RateLimit) -> Self {
        let limiter = limit.start(Arc::new(proxy_core::SystemClock));
        Self::of([Arc::new(limiter.unwrap_or_else(|error| panic!("{error}")))])
    }

    /// A layer of limits that count already, in this order. A request that one of them refuses
    /// costs nothing in the others.
    pub fn of<L: Into<Member>>(limiters: impl IntoIterator<Item = L>) -> Self {
        Self { limiters: limiters.into_iter().map(Into::into).collect() }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimited<S>;
    fn layer(&self, inner: S) -> RateLimited<S> {
        RateLimited { inner, limiters: Arc::clone(&self.limiters) }
    }
}

/// The service of [`RateLimitLayer`].
#[derive(Clone, Debug)]
pub struct RateLimited<S> {
    inner: S,
    limiters: Arc<[Member]>,
}

/// The refusal, or what the answer is to tell.
fn judge(limiters: &[Member], head: &RequestHead<'_>) -> Result<Vec<Advertised>, Box<Refusal>> {
    let mut told = head.exchange().map(Advertised::take_from).unwrap_or_default();
    // Those that only reported took nothing, and get nothing back.
    let mut untaken = Vec::new();
    for (index, limiter) in limiters.iter().enumerate() {
        let Some(judged) = limiter.judge(head) else { continue };
        if !judged.taken {
            untaken.push(index);
        }
        told.extend(judged.advertised);
        let Some(mut refusal) = judged.refusal else { continue };
        for (index, earlier) in limiters[..index].iter().enumerate() {
            if !untaken.contains(&index) {
                earlier.give_back(head);
            }
        }
        for advertised in told {
            advertised.append_to(refusal.fields.get_or_insert_default());
        }
        return Err(refusal);
    }
    Ok(told)
}

impl<S, B, ResB> Service<Request<B>> for RateLimited<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
{
    type Response = Response<Reply<ResB>>;
    type Error = S::Error;
    type Future = RateLimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match judge(&self.limiters, &RequestHead::of(&request)) {
            Ok(told) => {
                RateLimitFuture { inner: Some(self.inner.call(request)), refusal: None, told }
            }
            Err(refusal) => {
                RateLimitFuture { inner: None, refusal: Some(refusal), told: Vec::new() }
            }
        }
    }
}

pin_project! {
    /// The future of [`RateLimited`].
    #[derive(Debug)]
    pub struct RateLimitFuture<F> {
        #[pin]
        inner: Option<F>,
        refusal: Option<Box<Refusal>>,
        told: Vec<Advertised>,
    }
}

impl<F, ResB, E> Future for RateLimitFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<Reply<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            let refusal = this.refusal.take().expect("polled after completion");
            return Poll::Ready(Ok(refusal.into_response()));
        };
        let mut response = ready!(inner.poll(cx))?;
        for advertised in this.told.drain(..) {
            advertised.append_to(response.headers_mut());
        }
        Poll::Ready(Ok(response.map(Reply::inner)))
    }
}
