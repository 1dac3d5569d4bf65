//! Lines, and how they are queued and written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, Version};
use http_body_util::BodyExt;
use proxy_core::{
    AddressPrivacy, Attempt, ConnectionEvent, ConnectionEvents, Decision, ErrorKind, Exchange,
    TunnelEnd, TunnelOutcome, Verdict,
};
use proxy_observe::{AccessLog, AccessLogConfig, LogFormat, Overflow};
use proxy_testkit::{Answer, ScriptedBody, Step};
use serde_json::{Value, json};
use tower::{Service, ServiceExt};

use crate::scene::{Pipe, Scene, respond, until};

const LONG: Duration = Duration::from_secs(30);

/// A scene whose sink is a log of this kind.
fn logged(config: AccessLogConfig) -> (Scene, AccessLog, Pipe) {
    let (scene, pipe) = (Scene::new(), Pipe::default());
    let log = AccessLog::builder(config).start(pipe.clone()).unwrap();
    scene.observer.set_sinks([log.sink()]);
    (scene, log, pipe)
}

fn format(format: LogFormat) -> AccessLogConfig {
    AccessLogConfig { format, ..AccessLogConfig::default() }
}

/// Serves a request to its end, and gives the one line.
async fn line(format: LogFormat, request: impl FnOnce(&Scene) -> Request<ScriptedBody>) -> String {
    let (scene, log, pipe) = logged(self::format(format));
    serve(&scene, request(&scene)).await;
    assert!(log.flush(LONG));
    let lines = pipe.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(pipe.text().ends_with('\n'));
    lines[0].clone()
}

async fn serve(scene: &Scene, request: Request<ScriptedBody>) {
    let mut service = scene.serve(respond(200, ScriptedBody::new([Step::data("hello")])));
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    scene.clock.advance(Duration::from_micros(1_500));
    response.into_body().collect().await.unwrap();
}

fn object(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

#[tokio::test]
async fn a_json_line_says_all() {
    let line = line(LogFormat::Json, |scene| {
        let mut request = scene.get("/a/%7euser/../b?q=1");
        *request.version_mut() = Version::HTTP_10;
        request.headers_mut().insert("user-agent", HeaderValue::from_static("curl/8"));
        request.headers_mut().insert("referer", HeaderValue::from_static("http://r.test/"));
        let exchange = Exchange::of(&request).unwrap();
        exchange.set_given_id("from-peer");
        exchange.set_route("api".into());
        exchange.set_error(ErrorKind::HttpRequestDenied);
        let deny = |rule: &str, verdict| Decision {
            layer: "filter",
            rule: Some(rule.into()),
            verdict,
            reason: "blocked".into(),
        };
        exchange.decide(deny("first", Verdict::Deny));
        exchange.decide(deny("last", Verdict::Report));
        exchange.decide(deny("last", Verdict::Report));
        exchange.decide(deny("say \"hi\"", Verdict::Report));
        exchange.decide(Decision { rule: None, ..deny("none", Verdict::Report) });
        exchange.with_attempts(|attempts| {
            attempts.push(Attempt::default());
            attempts.push(Attempt {
                upstream: Some("pool".into()),
                address: Some("127.0.0.1:8080".parse().unwrap()),
                reused: true,
                dns: Some(Duration::from_micros(10)),
                connect: Some(Duration::from_micros(20)),
                first_byte: Some(Duration::from_millis(1)),
                ..Attempt::default()
            });
        });
        request
    })
    .await;
    assert_eq!(
        object(&line),
        json!({
            "time": "2023-11-14T22:13:20.000Z",
            "id": "from-peer",
            "listener": "test",
            "connection": 1,
            "client": "192.0.2.77",
            "method": "GET",
            "scheme": "http",
            "host": "a.test",
            "target": "/a/b?q=1",
            "protocol": "HTTP/1.0",
            "status": 200,
            "request_bytes": 0,
            "response_bytes": 5,
            "since_accept_us": 0,
            "answered_us": 0,
            "duration_us": 1_500,
            "upstream": {
                "attempts": 2,
                "name": "pool",
                "address": "127.0.0.1:8080",
                "reused": true,
                "dns_us": 10,
                "connect_us": 20,
                "first_byte_us": 1_000,
                "failed": [{"n": 1, "reused": false}],
            },
            "route": "api",
            "error": "http_request_denied",
            "denied_by": "filter",
            "rule": "first",
            "reason": "blocked",
            "reported": ["last", "say \"hi\"", "filter"],
            "ending": "complete",
            "termination": "PH",
            "user_agent": "curl/8",
            "referer": "http://r.test/",
        })
    );
}

#[tokio::test]
async fn what_is_unknown_is_left_out() {
    let (scene, log, pipe) = logged(format(LogFormat::Json));
    let mut service = scene.serve(Answer::Never);
    let mut request = scene.get("/");
    request.headers_mut().clear();
    drop(service.ready().await.unwrap().call(request));
    assert!(log.flush(LONG));
    let line = object(&pipe.lines()[0]);
    assert_eq!(line["status"], Value::Null);
    assert_eq!(line["ending"], "client_left");
    for absent in ["host", "upstream", "route", "error", "reason", "user_agent", "tunnel_end"] {
        assert!(line.get(absent).is_none(), "{absent}");
    }
}

#[tokio::test]
async fn the_combined_and_common_formats() {
    let request = |scene: &Scene| {
        let mut request = scene.get("/a?b=%22");
        request.headers_mut().insert("user-agent", HeaderValue::from_static("curl/8"));
        request
    };
    let common = "192.0.2.77 - - [14/Nov/2023:22:13:20 +0000] \"GET /a?b=%22 HTTP/1.1\" 200 5";
    assert_eq!(line(LogFormat::Common, request).await, common);
    let combined = format!("{common} \"-\" \"curl/8\"");
    assert_eq!(line(LogFormat::Combined, request).await, combined);
    let absolute = line(LogFormat::Common, |scene| scene.get("http://b.test:8080/x")).await;
    assert!(absolute.contains("\"GET http://b.test:8080/x HTTP/1.1\""), "{absolute}");
}

#[tokio::test]
async fn an_absolute_target_names_the_host() {
    let line = line(LogFormat::Json, |scene| scene.get("https://b.test:8443/x?y")).await;
    let line = object(&line);
    assert_eq!((&line["scheme"], &line["host"]), (&json!("https"), &json!("b.test:8443")));
    assert_eq!(line["target"], "/x?y");
}

#[tokio::test]
async fn userinfo_is_never_shown() {
    for format in [LogFormat::Json, LogFormat::Combined] {
        let target = |scene: &Scene| scene.get("http://user:secret@b.test/x");
        let shown = line(format, target).await;
        assert!(!shown.contains("secret") && shown.contains("b.test"), "{shown}");
        let host = |scene: &Scene| {
            let mut request = scene.get("/");
            request.headers_mut().insert("host", HeaderValue::from_static("user:secret@b.test"));
            request
        };
        assert!(!line(format, host).await.contains("secret"));
        let connect = |scene: &Scene| {
            let mut request = scene.get("user:secret@b.test:443");
            *request.method_mut() = Method::CONNECT;
            request
        };
        let shown = line(format, connect).await;
        assert!(!shown.contains("secret") && shown.contains("b.test:443"), "{shown}");
    }
}

#[tokio::test]
async fn no_byte_of_a_request_forges_a_line() {
    // All that a field value can hold, and what a peer's id or a rule could.
    let value: Vec<u8> = (0..=255).filter(|b| *b == b'\t' || (*b >= b' ' && *b != 0x7f)).collect();
    let hostile = |scene: &Scene| {
        let mut request = scene.get("/a\"b{}?x=\\{}|");
        for name in ["user-agent", "referer", "host"] {
            request.headers_mut().insert(name, HeaderValue::from_bytes(&value).unwrap());
        }
        *request.method_mut() = Method::from_bytes(b"X!#$%&'*+-.^_`|~").unwrap();
        let exchange = Exchange::of(&request).unwrap();
        exchange.set_given_id("\"}\n{\"id\":\"forged\u{2028}");
        exchange.set_route("r\"\n".into());
        exchange.decide(Decision {
            layer: "filter",
            rule: Some("\r\n\"".into()),
            verdict: Verdict::Deny,
            reason: "\u{1b}[2J".into(),
        });
        request
    };
    let json = line(LogFormat::Json, hostile).await;
    assert!(json.bytes().all(|b| (b' '..=b'~').contains(&b)));
    let json = object(&json);
    assert_eq!(json["user_agent"], String::from_utf8_lossy(&value).as_ref());
    assert_eq!(json["id"], "\"}\n{\"id\":\"forged\u{2028}");
    for format in [LogFormat::Combined, LogFormat::Common] {
        let line = line(format, hostile).await;
        assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)));
        let quotes = if format == LogFormat::Combined { 6 } else { 2 };
        assert_eq!(line.matches('"').count(), quotes, "{line}");
    }
}

#[tokio::test]
async fn privacy_holds_for_exchanges_and_refused_heads() {
    for (privacy, shown) in [
        (AddressPrivacy::Drop, "-"),
        (AddressPrivacy::Truncate { ipv4_prefix: 24, ipv6_prefix: 48 }, "192.0.2.0"),
    ] {
        let (scene, log, pipe) = logged(AccessLogConfig { privacy, ..AccessLogConfig::default() });
        serve(&scene, scene.get("/")).await;
        let exchange = scene.exchange();
        let refused =
            ConnectionEvent::HeadRefused { status: StatusCode::BAD_REQUEST, reason: "bare_cr" };
        scene.observer.on_event(exchange.connection(), refused);
        assert!(log.flush(LONG));
        let lines = pipe.lines();
        assert_eq!(lines.len(), 2);
        for line in lines {
            assert_eq!(object(&line)["client"], shown);
        }
    }
}

#[tokio::test]
async fn a_refused_head_has_a_line() {
    let refused =
        ConnectionEvent::HeadRefused { status: StatusCode::BAD_REQUEST, reason: "bare_cr" };
    for (format, expected) in [
        (
            LogFormat::Json,
            "{\"time\":\"2023-11-14T22:13:20.000Z\",\"listener\":\"test\",\"connection\":1,\
             \"client\":\"192.0.2.77\",\"method\":\"-\",\"status\":400,\"reason\":\"bare_cr\",\
             \"ending\":\"head_refused\",\"termination\":\"PR\"}",
        ),
        (
            LogFormat::Combined,
            "192.0.2.77 - - [14/Nov/2023:22:13:20 +0000] \"-\" 400 0 \"-\" \"-\"",
        ),
    ] {
        let (scene, log, pipe) = logged(self::format(format));
        scene.observer.on_event(scene.exchange().connection(), ConnectionEvent::Opened);
        scene.observer.on_event(scene.exchange().connection(), refused);
        assert!(log.flush(LONG));
        assert_eq!(pipe.lines(), [expected]);
    }
}

#[tokio::test]
async fn a_tunnel_has_one_line_at_its_end() {
    let (scene, log, pipe) = logged(format(LogFormat::Json));
    let exchange = scene.exchange();
    scene.observer.on_event(exchange.connection(), ConnectionEvent::Opened);
    let request = Request::connect("b.test:443").extension(exchange.clone());
    let mut service = scene.serve(respond(200, ScriptedBody::empty()));
    let request = request.body(ScriptedBody::empty()).unwrap();
    drop(service.ready().await.unwrap().call(request).await.unwrap());
    assert!(log.flush(LONG));
    assert_eq!(pipe.text(), "");
    let outcome = TunnelOutcome {
        end: TunnelEnd::Lifetime,
        sent: 7,
        received: 9,
        duration: Duration::from_secs(2),
    };
    let closed = ConnectionEvent::TunnelClosed { exchange: Some(&exchange), outcome: &outcome };
    scene.observer.on_event(exchange.connection(), closed);
    assert!(log.flush(LONG));
    let line = object(&pipe.lines()[0]);
    assert_eq!((&line["ending"], &line["tunnel_end"]), (&json!("tunnel"), &json!("lifetime")));
    assert_eq!((&line["request_bytes"], &line["response_bytes"]), (&json!(7), &json!(9)));
    assert_eq!(line["target"], "b.test:443");
}

#[tokio::test]
async fn a_line_is_written_without_being_asked_for() {
    let (scene, _log, pipe) = logged(format(LogFormat::Common));
    for n in 1..4 {
        serve(&scene, scene.get("/")).await;
        until("the line", || pipe.lines().len() == n);
        // Long enough for the writer to fall asleep.
        std::thread::sleep(Duration::from_millis(150));
    }
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let (scene, log, pipe) =
        logged(AccessLogConfig { queue_size: 1_000, ..format(LogFormat::Common) });
    pipe.hold(true);
    for _ in 0..50 {
        serve(&scene, scene.get("/")).await;
    }
    let dropped = log.dropped();
    assert!(dropped > 0 && dropped < 50, "{dropped}");
    pipe.hold(false);
    assert!(log.flush(LONG));
    assert_eq!(pipe.lines().len() as u64 + dropped, 50);
    serve(&scene, scene.get("/")).await;
    assert!(log.flush(LONG));
    assert_eq!(log.dropped(), dropped, "there is space again");
}

#[test]
fn a_full_queue_blocks_where_no_line_may_be_lost() {
    let config = AccessLogConfig {
        queue_size: 1_000,
        overflow: Overflow::Block,
        ..format(LogFormat::Common)
    };
    let (scene, log, pipe) = logged(config);
    pipe.hold(true);
    let (served, requests) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for n in 0..50 {
            runtime.block_on(serve(&scene, scene.get("/")));
            served.send(n).unwrap();
        }
    });
    until("the write", || pipe.is_waiting());
    std::thread::sleep(Duration::from_millis(100));
    assert!(!worker.is_finished());
    assert!(requests.try_iter().count() < 50);
    pipe.hold(false);
    worker.join().unwrap();
    assert!(log.flush(LONG));
    assert_eq!((pipe.lines().len(), log.dropped()), (50, 0));
}

#[tokio::test]
async fn a_failing_disk_is_counted_and_never_waited_for() {
    let (scene, pipe) = (Scene::new(), Pipe::default());
    let reports = Arc::new(AtomicU64::new(0));
    let reported = Arc::clone(&reports);
    let log = AccessLog::builder(AccessLogConfig {
        overflow: Overflow::Block,
        ..format(LogFormat::Common)
    })
    .on_error(move |error, _| {
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        reported.fetch_add(1, Ordering::SeqCst);
    })
    .start(pipe.clone())
    .unwrap();
    scene.observer.set_sinks([log.sink()]);
    // Half of the first line gets through.
    pipe.break_after(Some(20));
    for _ in 0..3 {
        serve(&scene, scene.get("/")).await;
        assert!(log.flush(LONG));
    }
    assert_eq!((log.dropped(), log.write_errors()), (3, 3));
    assert_eq!(reports.load(Ordering::SeqCst), 1, "once a minute");
    pipe.break_after(None);
    serve(&scene, scene.get("/whole")).await;
    assert!(log.flush(LONG));
    // The half line is ended, so that the whole one stands alone.
    let lines = pipe.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].len(), 20);
    assert!(lines[1].starts_with("192.0.2.77 ") && lines[1].contains("/whole"), "{lines:?}");
}

#[tokio::test]
async fn the_end_of_the_log_writes_what_is_queued() {
    let (scene, log, pipe) = logged(format(LogFormat::Common));
    let sink = log.sink();
    for _ in 0..10 {
        serve(&scene, scene.get("/")).await;
    }
    drop(log);
    assert_eq!(pipe.lines().len(), 10);
    // What comes later is lost, and nobody waits.
    scene.observer.set_sinks([sink]);
    serve(&scene, scene.get("/")).await;
    assert_eq!(pipe.lines().len(), 10);
}

#[tokio::test]
async fn a_writer_that_panics_holds_nobody_up() {
    struct Panics;
    impl std::io::Write for Panics {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            panic!("the output panics");
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let scene = Scene::new();
    let config =
        AccessLogConfig { queue_size: 100, overflow: Overflow::Block, ..format(LogFormat::Common) };
    let log = AccessLog::builder(config).start(Panics).unwrap();
    scene.observer.set_sinks([log.sink()]);
    for _ in 0..10 {
        serve(&scene, scene.get("/")).await;
    }
    log.flush(LONG);
    until("the end of the writer", || log.dropped() > 0);
    drop(log);
}

#[tokio::test]
async fn a_rotated_file_is_opened_again() {
    let folder = std::env::temp_dir().join(format!("proxy-observe-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (path, rotated) = (folder.join("access.log"), folder.join("access.log.1"));
    let scene = Scene::new();
    let log = AccessLog::builder(format(LogFormat::Common)).open(&path).unwrap();
    scene.observer.set_sinks([log.sink()]);
    serve(&scene, scene.get("/before")).await;
    assert!(log.flush(LONG));
    std::fs::rename(&path, &rotated).unwrap();
    assert!(log.reopen(folder.join("no/such/folder")).is_err());
    log.reopen(&path).unwrap();
    serve(&scene, scene.get("/after")).await;
    assert!(log.flush(LONG));
    let read = |path| std::fs::read_to_string(path).unwrap();
    assert!(read(&rotated).contains("/before") && !read(&rotated).contains("/after"));
    assert!(read(&path).contains("/after") && !read(&path).contains("/before"));
    drop(log);
    std::fs::remove_dir_all(&folder).unwrap();
}
