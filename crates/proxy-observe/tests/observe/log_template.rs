//! Lines of a template and of a format of one's own.

use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use proxy_core::exchange::ProgramRun;
use proxy_core::{
    Attempt, ConnectionEvent, ConnectionEvents, Decision, ErrorKind, Exchange, Trace, TraceContext,
    Verdict,
};
use proxy_observe::access_log::{LineFormat, LogEntry, RefusedHead, VARIABLES};
use proxy_observe::{AccessLog, AccessLogConfig, LogTemplate};
use proxy_testkit::{ScriptedBody, Step};
use tower::{Service, ServiceExt};

use crate::scene::{Pipe, Scene, respond};

const LONG: Duration = Duration::from_secs(30);

fn logged(format: impl LineFormat, config: AccessLogConfig) -> (Scene, AccessLog, Pipe) {
    let (scene, pipe) = (Scene::new(), Pipe::default());
    let log = AccessLog::builder(config).format(format).start(pipe.clone()).unwrap();
    scene.observer.set_sinks([log.sink()]);
    (scene, log, pipe)
}

/// A request of which everything is known.
fn whole(scene: &Scene) -> Request<ScriptedBody> {
    let mut request = scene.get("/a/%7euser/../b?q=1&token=x");
    request.headers_mut().insert("user-agent", HeaderValue::from_static("curl/8 \"x\""));
    request.headers_mut().insert("referer", HeaderValue::from_static("http://r.test/"));
    let exchange = Exchange::of(&request).unwrap();
    exchange.set_given_id("from-peer");
    let context = TraceContext { trace_id: 0xab, span_id: 1, sampled: false };
    exchange.set_trace(Trace::passing(context, None));
    exchange.set_route("api".into());
    exchange.set_user("an na".into());
    exchange.set_error(ErrorKind::HttpRequestDenied);
    let decide = |layer, rule: Option<&str>, verdict, reason: &'static str| {
        let rule = rule.map(Into::into);
        exchange.decide(Decision { layer, rule, verdict, reason: reason.into() });
    };
    decide("cache", None, Verdict::Allow, "hit");
    decide("filter", Some("rule-1"), Verdict::Deny, "blocked");
    ProgramRun::new("failed").record(exchange);
    exchange.with_attempts(|attempts| {
        attempts.push(Attempt {
            upstream: Some("pool".into()),
            address: Some("127.0.0.1:8080".parse().unwrap()),
            reused: true,
            dns: Some(Duration::from_micros(10)),
            connect: Some(Duration::from_micros(20)),
            first_byte: Some(Duration::from_micros(30)),
            status: Some(StatusCode::OK),
            ..Attempt::default()
        });
    });
    request
}

async fn serve(scene: &Scene, request: Request<ScriptedBody>) {
    let mut answer = http::Response::new(ScriptedBody::new([Step::data("hello")]));
    answer.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
    let mut service = scene.serve(proxy_testkit::Answer::Respond(answer));
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    scene.clock.advance(Duration::from_micros(1_234_567));
    response.into_body().collect().await.unwrap();
}

#[tokio::test]
async fn every_variable_has_its_value() {
    let expected = [
        ("time", "2023-11-14T22:13:20.000Z"),
        ("time_common", "14/Nov/2023:22:13:20 +0000"),
        ("time_unix", "1700000000.000"),
        ("id", "from-peer"),
        ("trace_id", "000000000000000000000000000000ab"),
        ("listener", "test"),
        ("connection", "1"),
        ("client", "192.0.2.77"),
        ("user", "an_na"),
        ("method", "GET"),
        ("scheme", "http"),
        ("host", "a.test"),
        ("target", "/a/b?q=1&token=x"),
        ("path", "/a/b"),
        ("query", "?q=1&token=x"),
        ("protocol", "HTTP/1.1"),
        ("status", "200"),
        ("request_bytes", "0"),
        ("response_bytes", "5"),
        ("since_accept_us", "0"),
        ("answered_us", "0"),
        ("duration_us", "1234567"),
        ("duration_ms", "1234"),
        ("duration", "1.234"),
        ("slow", "slow"),
        ("route", "api"),
        ("upstream", "pool"),
        ("upstream_address", "127.0.0.1:8080"),
        ("attempts", "1"),
        ("reused", "reused"),
        ("dns_us", "10"),
        ("connect_us", "20"),
        ("first_byte_us", "30"),
        ("upstream_status", "200"),
        ("cache", "hit"),
        ("coding", "gzip"),
        ("error", "http_request_denied"),
        ("denied_by", "filter"),
        ("rule", "rule-1"),
        ("reason", "blocked"),
        ("exec", "failed"),
        ("ending", "complete"),
        ("termination", "PH"),
        ("tunnel_end", "-"),
        ("user_agent", "curl/8 \\x22x\\x22"),
        ("referer", "http://r.test/"),
    ];
    let names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    let known: Vec<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, known, "a variable is missing here");
    let template = names.iter().map(|name| format!("{name}={{{name}}}|")).collect::<String>();
    let template: LogTemplate = template.parse().unwrap();
    let config = AccessLogConfig {
        users: true,
        slow_threshold: Some(Duration::from_secs(1)),
        ..AccessLogConfig::default()
    };
    let (scene, log, pipe) = logged(template, config);
    serve(&scene, whole(&scene)).await;
    assert!(log.flush(LONG));
    let line = expected.iter().map(|(name, value)| format!("{name}={value}|")).collect::<String>();
    assert_eq!(pipe.lines(), [line]);
}

#[tokio::test]
async fn what_is_not_known_is_a_dash() {
    let template: LogTemplate = "{user}{route}{slow}{upstream}{exec} {method}".parse().unwrap();
    let (scene, log, pipe) = logged(template, AccessLogConfig::default());
    serve(&scene, scene.get("/")).await;
    let refused =
        ConnectionEvent::HeadRefused { status: StatusCode::REQUEST_TIMEOUT, reason: "late" };
    scene.observer.on_event(scene.exchange().connection(), refused);
    assert!(log.flush(LONG));
    assert_eq!(pipe.lines(), ["----- GET", "----- -"]);
}

#[tokio::test]
async fn a_refused_head_fills_a_template() {
    let template = "{client} {status} {reason} {ending} {termination} {response_bytes}";
    let template: LogTemplate = template.parse().unwrap();
    let (scene, log, pipe) = logged(template, AccessLogConfig::default());
    let refused =
        ConnectionEvent::HeadRefused { status: StatusCode::REQUEST_TIMEOUT, reason: "header" };
    scene.observer.on_event(scene.exchange().connection(), refused);
    assert!(log.flush(LONG));
    assert_eq!(pipe.lines(), ["192.0.2.77 408 header head_refused cR 0"]);
}

#[tokio::test]
async fn no_byte_of_a_request_forges_a_line() {
    let all = VARIABLES.iter().map(|(name, _)| format!("\"{{{name}}}\" ")).collect::<String>();
    let template: LogTemplate = all.parse().unwrap();
    let (scene, log, pipe) = logged(template, AccessLogConfig::default());
    let value: Vec<u8> = (0..=255).filter(|b| *b == b'\t' || (*b >= b' ' && *b != 0x7f)).collect();
    let mut request = scene.get("/a\"b{}?x=\\{}|");
    for name in ["user-agent", "referer", "host"] {
        request.headers_mut().insert(name, HeaderValue::from_bytes(&value).unwrap());
    }
    *request.method_mut() = Method::from_bytes(b"X!#$%&'*+-.^_`|~").unwrap();
    let exchange = Exchange::of(&request).unwrap();
    exchange.set_given_id("\"\n\u{2028}");
    exchange.set_route("r\"\r\n".into());
    exchange.decide(Decision {
        layer: "filter",
        rule: Some("\r\n\"".into()),
        verdict: Verdict::Deny,
        reason: "\u{1b}[2J".into(),
    });
    serve(&scene, request).await;
    assert!(log.flush(LONG));
    let lines = pipe.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].bytes().all(|b| (b' '..=b'~').contains(&b)));
    assert_eq!(lines[0].matches('"').count(), 2 * VARIABLES.len(), "{}", lines[0]);
}

/// A format that passes on what a client wrote.
struct Careless;

impl LineFormat for Careless {
    fn exchange(&self, line: &mut Vec<u8>, entry: &LogEntry<'_>) {
        line.extend_from_slice(entry.record.exchange.id().to_string().as_bytes());
    }

    fn refused_head(&self, line: &mut Vec<u8>, head: &RefusedHead<'_>) {
        line.extend_from_slice(head.reason.as_bytes());
    }
}

#[tokio::test]
async fn not_even_with_a_careless_format() {
    let (scene, log, pipe) = logged(Careless, AccessLogConfig::default());
    let request = scene.get("/");
    Exchange::of(&request).unwrap().set_given_id("a\r\nb\x1bc");
    let mut service = scene.serve(respond(200, ScriptedBody::empty()));
    drop(service.ready().await.unwrap().call(request).await.unwrap());
    assert!(log.flush(LONG));
    assert_eq!(pipe.text(), "a??b?c\n");
}
