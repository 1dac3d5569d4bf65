//! Layers in the shadow: what they say, and what becomes of the request.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use proxy_core::{Decision, Exchange, Verdict};
use proxy_filter::policies::PathPolicy;
use proxy_filter::rate::{Rate, RateLimit, RateLimitLayer};
use proxy_filter::{FilterLayer, Policies, Probe, ShadowLayer};
use proxy_testkit::{ExchangeBuilder, LayerContract, ManualClock};
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt, service_fn};

/// One request passes, and none after it.
fn one() -> RateLimitLayer {
    let rate = Rate::new(1, Duration::from_secs(3600)).expect("a rate");
    let limiter = RateLimit::new("one", rate).start(Arc::new(ManualClock::new()));
    RateLimitLayer::of([Arc::new(limiter.expect("a limit"))])
}

fn filter() -> FilterLayer {
    let policy = PathPolicy::deny(["/internal"]).expect("a path").rule("internal");
    FilterLayer::new(Policies::new().then(policy))
}

/// Answers with the request's content.
async fn echoed<L>(layer: &L, path: &str, exchange: Option<&Exchange>) -> String
where
    L: Layer<Echo>,
    L::Service: Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible>,
{
    let mut request = Request::builder().uri(path);
    if let Some(exchange) = exchange {
        request = request.extension(exchange.clone());
    }
    let request = request.body(Full::from("content")).expect("a request");
    let Ok(response) = layer.layer(Echo).oneshot(request).await;
    assert_eq!(response.status(), 200);
    let Ok(content) = response.into_body().collect().await;
    String::from_utf8(content.to_bytes().to_vec()).expect("text")
}

#[derive(Clone)]
struct Echo;

impl Service<Request<Full<Bytes>>> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;
    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        std::future::ready(Ok(Response::new(request.into_body())))
    }
}

fn decisions(exchange: &Exchange) -> Vec<Decision> {
    exchange.with_decisions(<[Decision]>::to_vec)
}

#[tokio::test]
async fn it_keeps_the_contract_of_layers() {
    LayerContract::new(ShadowLayer::new(filter())).defers().run().await;
    // What it would refuse it passes on, too.
    LayerContract::new(ShadowLayer::new(filter()))
        .request(|| Request::get("/internal").body(()).expect("a request"))
        .defers()
        .run()
        .await;
}

#[tokio::test]
async fn a_refusal_is_a_report_and_the_request_goes_on() {
    let shadow = ShadowLayer::new(filter());
    let exchange = ExchangeBuilder::new().build();
    assert_eq!(echoed(&shadow, "/internal/keys", Some(&exchange)).await, "content");
    let decided = decisions(&exchange);
    assert_eq!(decided.len(), 1, "{decided:?}");
    assert_eq!(decided[0].verdict, Verdict::Report);
    assert_eq!(decided[0].rule.as_deref(), Some("internal"));
    assert!(exchange.error().is_none() && exchange.is_audited());
    let exchange = ExchangeBuilder::new().build();
    assert_eq!(echoed(&shadow, "/", Some(&exchange)).await, "content");
    assert_eq!(decisions(&exchange), []);
}

#[tokio::test]
async fn limits_count_and_know_the_client() {
    // The service is made once: the limiter is the layer's.
    let shadow = ShadowLayer::new(one());
    let reports = async |peer: &str| {
        let exchange = ExchangeBuilder::new().peer(peer).build();
        assert_eq!(echoed(&shadow, "/", Some(&exchange)).await, "content");
        decisions(&exchange).iter().filter(|own| own.verdict == Verdict::Report).count()
    };
    assert_eq!([reports("192.0.2.1").await, reports("192.0.2.1").await], [0, 1]);
    assert_eq!(reports("192.0.2.2").await, 0);
}

#[tokio::test]
async fn who_has_no_record_is_told() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    let shadow = ShadowLayer::new(filter()).tell(move |refusal, head| {
        let told = (refusal.status.as_u16(), refusal.rule_id.as_deref().map(str::to_owned));
        list.lock().expect("a list").push((told, head.target.path().to_owned()));
    });
    assert_eq!(echoed(&shadow, "/", None).await, "content");
    assert_eq!(echoed(&shadow, "/internal", None).await, "content");
    let told = told.lock().expect("a list").clone();
    assert_eq!(told, [((403, Some("internal".to_owned())), "/internal".to_owned())]);
}

/// Answers by itself, without a refusal, or fails.
fn third_party(
    fails: bool,
) -> impl Layer<
    Probe,
    Service: Service<
        Request<http_body_util::Empty<Bytes>>,
        Response = Response<Full<Bytes>>,
        Error = &'static str,
        Future: Send,
    > + Clone,
> + Clone {
    layer_fn(move |_: Probe| {
        service_fn(move |_: Request<http_body_util::Empty<Bytes>>| async move {
            if fails {
                return Err("broken");
            }
            let mut response = Response::new(Full::from("go away"));
            *response.status_mut() = http::StatusCode::FORBIDDEN;
            Ok(response)
        })
    })
}

#[tokio::test]
async fn layers_that_know_no_record_are_reported_too() {
    for (fails, reason) in [(false, "answered_by_layer"), (true, "policy_failed")] {
        let exchange = ExchangeBuilder::new().build();
        let shadow = ShadowLayer::new(third_party(fails));
        assert_eq!(echoed(&shadow, "/", Some(&exchange)).await, "content");
        let decided = decisions(&exchange);
        assert_eq!((decided[0].layer, &*decided[0].reason), ("shadow", reason));
        assert_eq!(decided[0].verdict, Verdict::Report);
    }
}
