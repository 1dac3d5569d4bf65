//! The limits of `[filter]` on how often, how many at a time and how fast, from what they say to
//! what counts.

use std::sync::Arc;

use metrics::Recorder;
use proxy_core::{Clock, Exchange, RequestHead, SystemClock};
use proxy_filter::bandwidth::{BandwidthLayer, BandwidthLimiter};
use proxy_filter::concurrency::{ConcurrencyLayer, ConcurrencyLimiter};
use proxy_filter::rate::{Member, RateLimitLayer, RateLimiter};

use crate::config::KeyPath;
use crate::config::resolved::{Holds, RateLimit, Resolved};
use crate::states::States;

/// The limiters of a configuration. All listeners share them; a clone is the same limiters.
#[derive(Clone, Debug, Default)]
pub struct RequestLimits {
    rates: Vec<(RateLimit, Arc<RateLimiter>)>,
    concurrency: Vec<Arc<ConcurrencyLimiter>>,
    bandwidth: Vec<Arc<BandwidthLimiter>>,
}

impl RequestLimits {
    /// Begins to count. What can not be started was an error of the configuration.
    ///
    /// Limits that say the same as before go on with what they have counted.
    pub fn new(
        config: &Resolved,
        recorder: Option<&(dyn Recorder + Send + Sync)>,
        states: &mut States,
    ) -> Self {
        let recorder = recorder.map(|recorder| recorder as &dyn Recorder);
        let clock = || Arc::new(SystemClock) as Arc<dyn Clock>;
        let defined = |kind: &str, id: &str| {
            let list = KeyPath::of("filter").key(kind);
            config.definitions.of_named(&list, "id", id)
        };
        // Routes name limits, so where one holds is not in its own definition.
        let held = |kind: &str, id: &str, holds: &Holds| format!("{} {holds:?}", defined(kind, id));
        let rates = config.rate_limits.iter().filter_map(|own| {
            let id = own.limit.id().to_string();
            let limiter = states.keep(&id, defined("rate_limits", &id), || {
                let limiter = own.limit.clone().start(clock()).ok()?;
                Some(counted(limiter, recorder, RateLimiter::metrics))
            });
            Some((own.clone(), limiter?))
        });
        let rates: Vec<_> = rates.collect();
        let concurrency = config.concurrency_limits.iter().filter_map(|own| {
            let id = own.limit.id().to_string();
            let limit = match &own.holds {
                Holds::Everywhere => own.limit.clone(),
                Holds::Routes(routes) => own.limit.clone().applies(on_routes(routes)),
            };
            states.keep(&id, held("concurrency_limits", &id, &own.holds), || {
                Some(counted(limit.start(clock()).ok()?, recorder, ConcurrencyLimiter::metrics))
            })
        });
        let concurrency: Vec<_> = concurrency.collect();
        let bandwidth = config.bandwidth_limits.iter().filter_map(|own| {
            let id = own.limit.id().to_string();
            let limit = match &own.holds {
                Holds::Everywhere => own.limit.clone(),
                Holds::Routes(routes) => own.limit.clone().applies(on_routes(routes)),
            };
            states.keep(&id, held("bandwidth_limits", &id, &own.holds), || {
                Some(counted(limit.start(clock()).ok()?, recorder, BandwidthLimiter::metrics))
            })
        });
        let bandwidth: Vec<_> = bandwidth.collect();
        Self { rates, concurrency, bandwidth }
    }

    /// The rate limits, which rules may name.
    pub fn rates(&self) -> impl Iterator<Item = &Arc<RateLimiter>> {
        self.rates.iter().map(|(_, limiter)| limiter)
    }

    /// The layer before the dispatch; none where it would count nothing.
    pub fn requests(&self) -> Option<RateLimitLayer> {
        self.rate_layer(false)
    }

    /// The layer below the cache; none where it would count nothing.
    pub fn misses(&self) -> Option<RateLimitLayer> {
        self.rate_layer(true)
    }

    /// The layers that limit what is under way, in the order of the file.
    pub fn concurrency(&self) -> impl DoubleEndedIterator<Item = ConcurrencyLayer> {
        self.concurrency.iter().map(|limiter| ConcurrencyLayer::of(Arc::clone(limiter)))
    }

    /// What limits how fast content flows, in the order of the file.
    pub fn bandwidth(&self) -> impl DoubleEndedIterator<Item = BandwidthLayer> {
        self.bandwidth.iter().map(|limiter| BandwidthLayer::of(Arc::clone(limiter)))
    }

    /// The same, for what is no content: tunnels.
    pub fn of_tunnels(&self) -> &[Arc<BandwidthLimiter>] {
        &self.bandwidth
    }

    fn rate_layer(&self, misses: bool) -> Option<RateLimitLayer> {
        let own = self.rates.iter().filter(|(limit, _)| limit.misses == misses);
        let members: Vec<_> = own.filter_map(|(limit, limiter)| member(limit, limiter)).collect();
        (!members.is_empty()).then(|| RateLimitLayer::of(members))
    }
}

fn counted<L>(
    limiter: L,
    recorder: Option<&dyn Recorder>,
    count: impl FnOnce(L, &dyn Recorder) -> L,
) -> Arc<L> {
    Arc::new(match recorder {
        Some(recorder) => count(limiter, recorder),
        None => limiter,
    })
}

fn member(limit: &RateLimit, limiter: &Arc<RateLimiter>) -> Option<Member> {
    let limiter = Arc::clone(limiter);
    let holds = match &limit.holds {
        Holds::Everywhere => None,
        // Rules alone name it, and ask it themselves.
        Holds::Routes(routes) if routes.is_empty() => return None,
        Holds::Routes(routes) => Some(on_routes(routes)),
    };
    Some(match (limit.misses, holds) {
        (false, None) => limiter.into(),
        (false, Some(holds)) => Member::when(limiter, holds),
        // What the cache asks for its own sake has no record: nobody sent it.
        (true, holds) => Member::when(limiter, move |head| {
            head.exchange().is_some() && holds.as_ref().is_none_or(|holds| holds(head))
        }),
    })
}

/// Whether a request matched one of these routes.
fn on_routes(routes: &[String]) -> impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static {
    let routes = routes.to_vec();
    move |head| {
        let route = head.exchange().and_then(Exchange::route);
        route.is_some_and(|route| routes.iter().any(|own| **own == **route))
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::task::{Context, Poll};

    use http::{Request, Response};
    use proxy_core::{Body, ProxyError};
    use proxy_filter::rate::{Rate, RateLimit as Says};
    use proxy_testkit::ExchangeBuilder;
    use proxy_upstream::ForwardFuture;
    use tower::ServiceExt;
    use tower_service::Service;

    use super::*;
    use crate::miss_limited::MissLimited;

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
            Box::pin(ready(Ok(Response::new(Body::empty()))))
        }
    }

    #[tokio::test]
    async fn what_nobody_sent_is_not_counted() {
        let says = Says::new("misses", Rate::new(1, std::time::Duration::from_secs(3600)).unwrap());
        let limit = RateLimit { limit: says, misses: true, holds: Holds::Everywhere };
        let limiter = Arc::new(limit.limit.clone().start(Arc::new(SystemClock)).unwrap());
        let limits = RequestLimits { rates: vec![(limit, limiter)], ..RequestLimits::default() };
        assert!(limits.requests().is_none());
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
