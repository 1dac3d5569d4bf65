//! Which traces are recorded, and when they are worth a request.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::Request;
use http_body_util::BodyExt;
use proxy_core::Exchange;
use proxy_observe::traces::{ParentSampling, Traces, TracesConfig};
use proxy_testkit::{ExchangeBuilder, ScriptedBody};
use tower::{Service, ServiceExt};

use crate::scene::{Scene, respond};

/// What a sampler by ratio takes first, and what it takes last; both say that they are not recorded.
const LEAST: &str = "00-4bf92f3577b34da6a300000000000000-00f067aa0ba902b7-00";
const MOST: &str = "00-4bf92f3577b34da6a3ffffffffffffff-00f067aa0ba902b7-01";

async fn asked(config: TracesConfig, id: u128, trusted: bool, parent: &str) -> (Exchange, Traces) {
    let scene = Scene::new();
    let traces = Traces::new(config, Arc::new(scene.clock.clone()));
    scene.observer.set_sinks([traces.sink()]);
    let exchange = ExchangeBuilder::new().clock(&scene.clock).id(id).trusted(trusted).build();
    let request = Request::get("/").header("traceparent", parent).extension(exchange.clone());
    let mut service = scene.serve(respond(200, ScriptedBody::empty()));
    let request = request.body(ScriptedBody::empty()).unwrap();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    (exchange, traces)
}

#[tokio::test]
async fn no_client_chooses_an_id_that_is_recorded() {
    // Of our own ids: the one is in this half, the other is not.
    for (id, chosen) in [(1, true), ((1 << 56) - 1, false)] {
        for parent in [LEAST, MOST] {
            for (whose, trusted) in [
                (ParentSampling::Trusted, false),
                (ParentSampling::Never, false),
                (ParentSampling::Never, true),
            ] {
                let config = TracesConfig { share: 0.5, parent: whose, ..TracesConfig::default() };
                let (exchange, _) = asked(config, id, trusted, parent).await;
                let trace = exchange.trace().unwrap();
                assert_eq!(trace.marks().is_some(), chosen, "{id} {parent} {whose:?}");
                assert_eq!(trace.context.sampled, chosen);
                // It is found by the client's id all the same.
                assert_eq!(format!("{:032x}", trace.context.trace_id), parent[3..35]);
            }
        }
        let config = TracesConfig { share: 0.5, ..TracesConfig::default() };
        for (parent, flag) in [(LEAST, false), (MOST, true)] {
            let (exchange, _) = asked(config.clone(), id, true, parent).await;
            assert_eq!(exchange.trace().unwrap().marks().is_some(), flag);
        }
    }
}

#[tokio::test]
async fn a_whole_request_of_spans_is_ready_at_once() {
    for (batch, queue, ready) in [(1, 8, true), (2, 8, false), (2, 1, true)] {
        let config = TracesConfig { batch, queue, ..TracesConfig::default() };
        let (_, traces) = asked(config, 1, false, LEAST).await;
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(traces.poll_full(&mut cx) == Poll::Ready(()), ready, "{batch} {queue}");
        assert!(traces.take().is_some());
        assert_eq!(traces.poll_full(&mut cx), Poll::Pending);
    }
}
