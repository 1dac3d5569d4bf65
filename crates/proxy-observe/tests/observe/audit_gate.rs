//! The door of the audit trail.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use proxy_core::{AuditAnswer, AuditRecord, AuditSink, Clock, Exchange, Refusal};
use proxy_observe::audit::{AuditGateLayer, Door};
use proxy_testkit::{ExchangeBuilder, LayerContract, ManualClock};
use tower::{Layer, ServiceExt, service_fn};

#[derive(Default)]
struct Shuttable(AtomicBool);

impl AuditSink for Shuttable {
    fn record(&self, _: &AuditRecord<'_>) -> AuditAnswer {
        AuditAnswer::Taken
    }

    fn can_take(&self) -> bool {
        !self.0.load(Ordering::SeqCst)
    }
}

fn shut() -> Arc<Shuttable> {
    Arc::new(Shuttable(AtomicBool::new(true)))
}

fn door(sink: &Arc<Shuttable>, wait: Option<(Duration, ManualClock)>) -> AuditGateLayer {
    let wait = wait.map(|(limit, clock)| (limit, Arc::new(clock) as Arc<dyn Clock>));
    AuditGateLayer::new(Some(Door::new(Arc::<Shuttable>::clone(sink), wait)))
}

#[tokio::test]
async fn it_keeps_the_contract_of_layers() {
    let request = || Request::get("/").body(()).expect("a request");
    LayerContract::new(AuditGateLayer::new(None)).request(request).run().await;
    LayerContract::new(door(&Arc::default(), None)).request(request).run().await;
}

async fn asked(layer: AuditGateLayer, exchange: &Exchange) -> Response<()> {
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
    let request = Request::get("/").extension(exchange.clone()).body(()).expect("a request");
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    response.map(|_| ())
}

#[tokio::test]
async fn while_nothing_can_be_recorded_requests_are_refused() {
    let sink = shut();
    let exchange = ExchangeBuilder::new().build();
    let response = asked(door(&sink, None), &exchange).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let refusal = response.extensions().get::<Refusal>().expect("a refusal");
    assert_eq!(refusal.reason, "audit_unavailable");
    assert!(refusal.retry_after.is_some());
    assert!(!exchange.is_audited(), "it can not be recorded that nothing can be recorded");
    assert!(exchange.with_decisions(|all| all[0].layer == "audit"));
    sink.0.store(false, Ordering::SeqCst);
    let response = asked(door(&sink, None), &ExchangeBuilder::new().build()).await;
    assert_eq!(response.status(), StatusCode::OK);
    sink.0.store(true, Ordering::SeqCst);
    let rehearsal = ExchangeBuilder::new().build();
    rehearsal.set_rehearsal();
    assert_eq!(asked(door(&sink, None), &rehearsal).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn or_wait_for_it_so_long_and_no_longer() {
    let clock = ManualClock::new();
    let sink = shut();
    let layer = door(&sink, Some((Duration::from_secs(5), clock.clone())));
    let exchange = ExchangeBuilder::new().build();
    let mut waiting = Box::pin(asked(layer.clone(), &exchange));
    assert!(proxy_testkit::poll_once(waiting.as_mut()).is_pending());
    clock.advance(Duration::from_secs(1));
    assert!(proxy_testkit::poll_once(waiting.as_mut()).is_pending());
    sink.0.store(false, Ordering::SeqCst);
    clock.advance(Duration::from_secs(1));
    assert_eq!(waiting.await.status(), StatusCode::OK);

    sink.0.store(true, Ordering::SeqCst);
    let mut waiting = Box::pin(asked(layer, &exchange));
    for _ in 0..49 {
        assert!(proxy_testkit::poll_once(waiting.as_mut()).is_pending());
        clock.advance(Duration::from_millis(100));
    }
    assert!(proxy_testkit::poll_once(waiting.as_mut()).is_pending());
    clock.advance(Duration::from_millis(100));
    assert_eq!(waiting.await.status(), StatusCode::SERVICE_UNAVAILABLE);
}
