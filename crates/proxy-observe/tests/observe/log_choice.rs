//! Which exchanges have a line: by route, by sample, by how long they took.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use proxy_core::{ConnectionEvent, ConnectionEvents, Exchange};
use proxy_observe::{AccessLog, AccessLogConfig, LogRoutes};
use proxy_testkit::{ExchangeBuilder, ScriptedBody};
use serde_json::Value;
use tower::{Service, ServiceExt};

use crate::scene::{Pipe, Scene, respond};

const LONG: Duration = Duration::from_secs(30);

struct Logged {
    scene: Scene,
    log: AccessLog,
    pipe: Pipe,
}

impl Logged {
    fn new(config: AccessLogConfig) -> Self {
        let (scene, pipe) = (Scene::new(), Pipe::default());
        let log = AccessLog::builder(config).start(pipe.clone()).unwrap();
        scene.observer.set_sinks([log.sink()]);
        Self { scene, log, pipe }
    }

    async fn serve(&self, exchange: &Exchange, status: u16, takes: Duration) {
        let mut request = self.scene.get("/");
        request.extensions_mut().insert(exchange.clone());
        let mut service = self.scene.serve(respond(status, ScriptedBody::empty()));
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        self.scene.clock.advance(takes);
        response.into_body().collect().await.unwrap();
    }

    fn numbered(&self, id: u128) -> Exchange {
        // As mixed as those of a server.
        let id = id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        ExchangeBuilder::new().clock(&self.scene.clock).id(id).build()
    }

    fn lines(&self) -> Vec<Value> {
        assert!(self.log.flush(LONG));
        self.pipe.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn names(names: &[&str]) -> Arc<[Arc<str>]> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

#[tokio::test]
async fn by_route() {
    for (routes, expected, heads) in [
        (LogRoutes::All, vec!["a", "b", "-"], 1),
        (LogRoutes::Except(names(&["a", "x"])), vec!["b", "-"], 1),
        (LogRoutes::Only(names(&["a", "x"])), vec!["a"], 0),
    ] {
        let logged = Logged::new(AccessLogConfig { routes, ..AccessLogConfig::default() });
        for (n, route) in [Some("a"), Some("b"), None].into_iter().enumerate() {
            let exchange = logged.numbered(n as u128);
            if let Some(route) = route {
                exchange.set_route(route.into());
            }
            logged.serve(&exchange, 200, Duration::ZERO).await;
        }
        let seen: Vec<String> = logged
            .lines()
            .iter()
            .map(|line| line["route"].as_str().unwrap_or("-").to_owned())
            .collect();
        assert_eq!(seen, expected);
        let refused = ConnectionEvent::HeadRefused {
            status: http::StatusCode::BAD_REQUEST,
            reason: "bare_cr",
        };
        logged.scene.observer.on_event(logged.numbered(9).connection(), refused);
        assert_eq!(logged.lines().len() - expected.len(), heads);
    }
}

#[tokio::test]
async fn a_sample_is_of_the_everyday_alone() {
    let config = AccessLogConfig {
        sample: 0.25,
        slow_threshold: Some(Duration::from_secs(1)),
        queue_size: 64 << 20,
        ..AccessLogConfig::default()
    };
    let logged = Logged::new(config);
    for n in 0..2_000 {
        logged.serve(&logged.numbered(n), 200, Duration::ZERO).await;
    }
    let lines = logged.lines();
    assert!((400..600).contains(&lines.len()), "{} of 2000", lines.len());
    assert!(lines.iter().all(|line| line["sample"] == 0.25 && line.get("slow").is_none()));
    // Failed and slow ones are all there, and stand for themselves.
    for n in 0..100 {
        logged.serve(&logged.numbered(n), 502, Duration::ZERO).await;
        logged.serve(&logged.numbered(n), 200, Duration::from_secs(1)).await;
    }
    let more = &logged.lines()[lines.len()..];
    assert_eq!(more.len(), 200);
    assert!(more.iter().all(|line| line.get("sample").is_none()));
    assert_eq!(more.iter().filter(|line| line["slow"] == true).count(), 100);
}

#[tokio::test]
async fn a_sample_of_none_is_a_log_of_what_failed_or_was_slow() {
    let logged = Logged::new(AccessLogConfig { sample: 0.0, ..AccessLogConfig::default() });
    for n in 0..100 {
        logged.serve(&logged.numbered(n), 200, Duration::from_secs(9)).await;
    }
    logged.serve(&logged.numbered(100), 500, Duration::ZERO).await;
    let lines = logged.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["status"], 500);
}
