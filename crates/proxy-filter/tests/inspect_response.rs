//! Responses that should not leave: what is refused, what breaks off, what passes untouched.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use proxy_core::{Exchange, Refusal, Verdict};
use proxy_filter::inspect::response::{
    FileKind, ResponseEngine, ResponseInspect, ResponseInspectConfig,
};
use proxy_filter::inspect::{
    Exclusion, InspectBody, InspectedResponse, Mode, ResponseInspectLayer,
};
use proxy_testkit::{
    Answer, ExchangeBuilder, LayerContract, ScriptedBody, Step, StubService, WakeCount,
};
use tower::{Layer, Service};

const TRACE: &str = "<pre>Exception\n\tat com.shop.Cart.total(Cart.java:88)\n\tat com.shop.Page.show(Page.java:12)\n</pre>";

fn config() -> ResponseInspectConfig {
    ResponseInspectConfig {
        block_content_types: vec!["application/x-msdownload".into(), "font/*".into()],
        block_files: FileKind::EXECUTABLE.to_vec(),
        leaks: true,
        max_size: Some(200_000),
        window: 4096,
        ..ResponseInspectConfig::default()
    }
}

fn layer(config: ResponseInspectConfig) -> ResponseInspectLayer {
    ResponseInspectLayer::new(ResponseEngine::new(config).expect("the built-in rules"))
}

#[tokio::test]
async fn it_keeps_the_contract_of_layers() {
    let sizes = LayerContract::new(layer(config())).changes_response_content().run().await;
    assert!(sizes.response_body.overhead() <= 64, "{sizes}");
    let idle = ResponseInspectConfig::default();
    LayerContract::new(layer(idle)).run().await;
    let report = ResponseInspectConfig { mode: Mode::Report, ..config() };
    LayerContract::new(layer(report)).run().await;
}

type Answered = Response<proxy_core::Reply<InspectBody<ScriptedBody>>>;

async fn answer(
    config: ResponseInspectConfig,
    content_type: &str,
    body: ScriptedBody,
) -> (Answered, Exchange) {
    let response = Response::builder().header("content-type", content_type).body(body);
    let response = response.expect("a response");
    let (stub, _handle) = StubService::<ScriptedBody, Infallible>::once(Answer::Respond(response));
    let mut service: ResponseInspect<_> = layer(config).layer(stub);
    let exchange = ExchangeBuilder::new().build();
    let request = Request::get("/").extension(exchange.clone()).body(ScriptedBody::empty());
    std::future::poll_fn(|cx| Service::<Request<ScriptedBody>>::poll_ready(&mut service, cx))
        .await
        .expect("ready");
    let Ok(response) = service.call(request.expect("a request")).await;
    (response, exchange)
}

fn text(content: &'static str) -> ScriptedBody {
    ScriptedBody::new([Step::data(content)]).exact()
}

#[tokio::test]
async fn what_leaks_is_refused_while_the_head_is_here() {
    for (kind, content, rule) in [
        ("text/html", TRACE, "leak-stack-java"),
        (
            "text/plain",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgwMbRvI0MBZhpF\n",
            "leak-private-key",
        ),
        (
            "application/json",
            r#"{"e":"You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server"}"#,
            "leak-database-error",
        ),
        (
            "text/html",
            "<b>Warning</b>:  include(): failed opening 'x' in <b>/var/www/html/a.php</b> on line <b>12</b><br />",
            "leak-stack-php",
        ),
        (
            "text/plain",
            "Traceback (most recent call last):\n  File \"/srv/app/views.py\", line 12, in get\n",
            "leak-stack-python",
        ),
        (
            "text/html",
            "Error: x<br>at Layer.handle (/srv/app/node_modules/express/lib/layer.js:95:5)<br>at next",
            "leak-stack-node",
        ),
        ("text/plain", "root:x:0:0:root:/root:/bin/bash\n", "leak-accounts"),
        ("text/html", "<html><head><title>Index of /backup</title>", "leak-listing"),
        ("text/html", "<?php $password = 'x'; ?>", "leak-source"),
    ] {
        let (response, exchange) = answer(config(), kind, text(content)).await;
        let refusal = response.extensions().get::<Refusal>().expect(rule);
        assert_eq!(
            (response.status(), refusal.reason, refusal.rule_id.as_deref()),
            (StatusCode::BAD_GATEWAY, "response_inspection", Some(rule))
        );
        let denied = exchange.with_decisions(|all| {
            all.iter().any(|d| d.layer == "inspect_response" && d.verdict == Verdict::Deny)
        });
        assert!(denied && exchange.get::<InspectedResponse>().is_some_and(|i| i.0.refused));
    }
}

#[tokio::test]
async fn what_only_speaks_of_leaks_passes() {
    for (kind, content) in [
        ("text/html", "<h1>What does <code>Traceback (most recent call last)</code> mean?</h1>"),
        ("text/html", "A key begins with -----BEGIN PRIVATE KEY----- and ends with -----END"),
        ("text/html", "<p>See Main.java:12, at the top, and Other.java:14.</p>"),
        ("text/html", "<p>How do I fix ORA-00942 or a syntax error in SQL?</p>"),
        ("text/javascript", "x='Traceback (most recent call last):\\n  File \"a\", line 1'"),
        ("image/png", TRACE),
    ] {
        let (response, _) = answer(config(), kind, text(content)).await;
        assert_eq!(response.status(), StatusCode::OK, "{content}");
        let read = response.into_body().collect().await.expect("content").to_bytes();
        assert_eq!(read, content);
    }
}

#[tokio::test]
async fn types_and_kinds_of_files() {
    let (response, _) = answer(config(), "Application/X-MSDownload; x=y", text("a")).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let (response, _) = answer(config(), "font/woff2", text("a")).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    // Whatever the head says, and in however small pieces it comes.
    let pieces = [Step::data("\x7F"), Step::data("EL"), Step::data("F\x02\x01\x01")];
    let (response, exchange) = answer(config(), "image/png", ScriptedBody::new(pieces)).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let found = exchange.get::<InspectedResponse>().expect("findings").0.report.findings;
    assert_eq!((&*found[0].rule, &*found[0].parameter), ("response-file", "elf"));
    let (response, _) = answer(config(), "text/x-sh", text("#!/bin/sh\nrm x\n")).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let mut some = config();
    some.block_files = vec![FileKind::Pe];
    let (response, _) = answer(some, "text/x-sh", text("#!/bin/sh\nrm x\n")).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn content_that_pauses_goes_on_and_breaks_off_when_it_leaks() {
    let body = ScriptedBody::new([Step::data("<p>one</p>"), Step::Wait, Step::data(TRACE)]);
    let probe = body.probe();
    let (response, exchange) = answer(config(), "text/html", body).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = Box::pin(response.into_body());
    let wakes = WakeCount::new();
    let mut poll = || wakes.poll(|cx| http_body::Body::poll_frame(body.as_mut(), cx));
    let std::task::Poll::Ready(Some(Ok(frame))) = poll() else { panic!("a frame") };
    assert_eq!(frame.into_data().expect("data"), "<p>one</p>");
    assert!(poll().is_pending());
    probe.release();
    assert!(matches!(poll(), std::task::Poll::Ready(Some(Err(_)))));
    assert!(matches!(poll(), std::task::Poll::Ready(None)));
    let denied = exchange.with_decisions(|all| all.iter().any(|d| d.verdict == Verdict::Deny));
    assert!(denied);
}

#[tokio::test]
async fn event_streams_do_not_wait() {
    let body = ScriptedBody::new([Step::Wait, Step::data("data: x\n\n")]);
    let (response, _) = answer(config(), "text/event-stream", body).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn too_much_content() {
    let piece = || Step::Data(Bytes::from(vec![b'a'; 60_000]));
    let long = ScriptedBody::new((0..4).map(|_| piece()));
    let (response, _) = answer(config(), "image/png", long).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.into_body().collect().await.is_err());
    let short = ScriptedBody::new((0..3).map(|_| piece()));
    let (response, _) = answer(config(), "image/png", short).await;
    assert_eq!(response.into_body().collect().await.expect("content").to_bytes().len(), 180_000);
    let only = ResponseInspectConfig { max_size: Some(10), ..ResponseInspectConfig::default() };
    let response = Response::builder().header("content-length", "11").body(text("hello world"));
    let head = response.expect("a response").into_parts().0;
    let start = ResponseEngine::new(only).expect("an engine").begin(&head, true);
    assert!(matches!(start.next, proxy_filter::inspect::Next::Block));
}

#[tokio::test]
async fn codings_are_taken_off() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(TRACE.as_bytes()).expect("memory");
    let body = ScriptedBody::new([Step::Data(gzip.finish().expect("memory").into())]);
    let response = Response::builder()
        .header("content-type", "text/html")
        .header("content-encoding", "gzip")
        .body(body)
        .expect("a response");
    let (stub, _handle) = StubService::<ScriptedBody, Infallible>::once(Answer::Respond(response));
    let mut service = layer(config()).layer(stub);
    std::future::poll_fn(|cx| Service::<Request<ScriptedBody>>::poll_ready(&mut service, cx))
        .await
        .expect("ready");
    let Ok(response) = service.call(Request::new(ScriptedBody::empty())).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn exclusions_and_reports() {
    let mut config = config();
    config.exclusions = vec![Exclusion { rule: "leak-stack-*".into(), parameter: None }];
    let (response, _) = answer(config, "text/html", text(TRACE)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let report = ResponseInspectConfig { mode: Mode::Report, ..self::config() };
    let (response, exchange) = answer(report, "text/html", text(TRACE)).await;
    assert_eq!(response.into_body().collect().await.expect("content").to_bytes(), TRACE);
    let reported = exchange.with_decisions(|all| all.iter().any(|d| d.verdict == Verdict::Report));
    assert!(reported);
}
