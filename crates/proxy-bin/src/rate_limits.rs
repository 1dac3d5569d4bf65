//! The rate limits of a configuration, from what they say to what counts.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use metrics::Recorder;
use proxy_core::{Body, Exchange, ProxyError, RequestHead, SystemClock};
use proxy_filter::concurrency::{ConcurrencyLayer, ConcurrencyLimiter};
use proxy_filter::rate::{Member, RateLimitLayer, RateLimited, RateLimiter};
use proxy_upstream::ForwardFuture;
use tower_layer::Layer;
use tower_service::Service;

use crate::config::resolved::{ConcurrencyLimit, Holds, RateLimit, Resolved};

/// The limiters of a configuration. All listeners share them; a clone is the same limiters.
#[derive(Clone, Debug, Default)]
pub struct RateLimits {
    limiters: Vec<(RateLimit, Arc<RateLimiter>)>,
    concurrency: Vec<Arc<ConcurrencyLimiter>>,
}

impl RateLimits {
    /// Begins to count.
    pub fn new(config: &Resolved, recorder: Option<&(dyn Recorder + Send + Sync)>) -> Self {
        let start = |own: &RateLimit| {
            // What can not be started was an error of the configuration.
            let limiter = own.limit.clone().start(Arc::new(SystemClock)).ok()?;
            let limiter = match recorder {
                Some(recorder) => limiter.metrics(recorder),
                None => limiter,
            };
            Some((own.clone(), Arc::new(limiter)))
        };
        let open = |own: &ConcurrencyLimit| {
            let limit = match &own.holds {
                Holds::Everywhere => own.limit.clone(),
                Holds::Routes(routes) => own.limit.clone().applies(on_routes(routes)),
            };
            let limiter = limit.start(Arc::new(SystemClock)).ok()?;
            let limiter = match recorder {
                Some(recorder) => limiter.metrics(recorder),
                None => limiter,
            };
            Some(Arc::new(limiter))
        };
        Self {
            limiters: config.rate_limits.iter().filter_map(start).collect(),
            concurrency: config.concurrency_limits.iter().filter_map(open).collect(),
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<RateLimiter>> {
        self.limiters.iter().map(|(_, limiter)| limiter)
    }

    /// The one that a rule names.
    pub fn by_id(&self, id: &str) -> Option<&Arc<RateLimiter>> {
        self.limiters.iter().map(|(_, limiter)| limiter).find(|limiter| **limiter.id() == *id)
    }

    /// The layer before the dispatch; none where it would count nothing.
    pub fn requests(&self) -> Option<RateLimitLayer> {
        self.layer(false)
    }

    /// The layer below the cache; none where it would count nothing.
    pub fn misses(&self) -> Option<RateLimitLayer> {
        self.layer(true)
    }

    /// The layers that limit what is under way, in the order of the file.
    pub fn concurrency(&self) -> impl DoubleEndedIterator<Item = ConcurrencyLayer> {
        self.concurrency.iter().map(|limiter| ConcurrencyLayer::of(Arc::clone(limiter)))
    }

    fn layer(&self, misses: bool) -> Option<RateLimitLayer> {
        let own = self.limiters.iter().filter(|(limit, _)| limit.misses == misses);
        let members: Vec<_> = own.filter_map(|(limit, limiter)| member(limit, limiter)).collect();
        (!members.is_empty()).then(|| RateLimitLayer::of(members))
    }
}

fn member(limit: &RateLimit, limiter: &Arc<RateLimiter>) -> Option<Member> {
    let limiter = Arc::clone(limiter);
    match &limit.holds {
        Holds::Everywhere => Some(limiter.into()),
        // Rules alone name it, and ask it themselves.
        Holds::Routes(routes) if routes.is_empty() => None,
        Holds::Routes(routes) => Some(Member::when(limiter, on_routes(routes))),
    }
}

/// Whether a request matched one of these routes.
fn on_routes(routes: &[String]) -> impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static {
    let routes = routes.to_vec();
    move |head| {
        let route = head.exchange().and_then(Exchange::route);
        route.is_some_and(|route| routes.iter().any(|own| **own == **route))
    }
}

/// What goes upstream, below limits that count what the cache could not answer.
#[derive(Clone, Debug)]
pub enum MissLimited<S> {
    /// No such limit.
    Free(S),
    /// Below at least one, but for what the cache asks for its own sake.
    Limited {
        /// For requests without a record: nobody sent them.
        free: S,
        /// For all others.
        limited: RateLimited<S>,
    },
}

impl<S: Clone> MissLimited<S> {
    /// The service, below the layer where there is one.
    pub fn new(service: S, layer: Option<&RateLimitLayer>) -> Self {
        match layer {
            Some(layer) => Self::Limited { free: service.clone(), limited: layer.layer(service) },
            None => Self::Free(service),
        }
    }
}

impl<S> Service<Request<Body>> for MissLimited<S>
where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = ProxyError,
            Future = ForwardFuture,
        > + Clone
        + Send
        + 'static,
{
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = ForwardFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        match self {
            Self::Free(service) => service.poll_ready(cx),
            // The clone that is called is asked, not this one.
            Self::Limited { .. } => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<Body>) -> ForwardFuture {
        match self {
            Self::Free(service) => service.call(request),
            Self::Limited { free, limited } => {
                if Exchange::of(&request).is_none() {
                    let mut free = free.clone();
                    return Box::pin(async move {
                        poll_fn(|cx| free.poll_ready(cx)).await?;
                        free.call(request).await
                    });
                }
                let mut limited = limited.clone();
                Box::pin(async move {
                    poll_fn(|cx| Service::<Request<Body>>::poll_ready(&mut limited, cx)).await?;
                    Ok(limited.call(request).await?.map(Body::new))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proxy_filter::rate::{Rate, RateLimit as Says};
    use proxy_testkit::ExchangeBuilder;
    use tower::ServiceExt;

    use super::*;

    #[derive(Clone)]
    struct Upstream;

    impl Service<Request<Body>> for Upstream {
        type Response = Response<Body>;
        type Error = ProxyError;
        type Future = ForwardFuture;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> ForwardFuture {
            Box::pin(async { Ok(Response::new(Body::empty())) })
        }
    }

    #[tokio::test]
    async fn what_nobody_sent_is_not_counted() {
        let says = Says::new("misses", Rate::new(1, std::time::Duration::from_secs(3600)).unwrap());
        let limit = RateLimit { limit: says, misses: true, holds: Holds::Everywhere };
        let limiter = Arc::new(limit.limit.clone().start(Arc::new(SystemClock)).unwrap());
        let limits = RateLimits { limiters: vec![(limit, limiter)], ..RateLimits::default() };
        assert!(limits.requests().is_none() && limits.by_id("misses").is_some());
        let service = MissLimited::new(Upstream, limits.misses().as_ref());
        let status = async |exchange: Option<Exchange>| {
            let mut request = Request::new(Body::empty());
            if let Some(exchange) = exchange {
                request.extensions_mut().insert(exchange);
            }
            service.clone().oneshot(request).await.unwrap().status().as_u16()
        };
        let client = || Some(ExchangeBuilder::new().peer("192.0.2.1").build());
        assert_eq!([status(None).await, status(None).await], [200, 200]);
        assert_eq!([status(client()).await, status(client()).await], [200, 429]);
        assert_eq!(status(None).await, 200);
    }
}
