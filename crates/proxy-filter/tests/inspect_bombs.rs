//! Coded content that grows beyond all bounds: refused with a reason wherever attacks are refused,
//! whatever is done beyond other limits, and reported where they are reported.

use std::convert::Infallible;
use std::io::Write as _;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use proxy_core::{Refusal, RequestHead, Verdict};
use proxy_filter::inspect::{
    Class, Engine, Exclusion, InspectConfig, InspectLayer, Inspector, Mode, Next, OnLimit, Step,
};
use proxy_testkit::{Answer, ExchangeBuilder, ScriptedBody, Step as Script, StubService};
use tower::{Layer as _, ServiceExt as _};

const MEGABYTE: usize = 1 << 20;

/// 64 MiB of `a` in br: members of it can not be joined.
const BR: &str = "cbffff3f0024c2e2b14072effff8ffff078004401c1680eefd1fffffff00900088c302d0bdffe3ffff\
                  1f001200715800baf77ffcffff034002200e0b40f7fe8fffff7f004800c46101e8defff1ffff0f000980\
                  382c00ddfbbffcffff032001108705a07bff07";

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    coder.write_all(content).unwrap();
    coder.finish().unwrap()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut coder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    coder.write_all(content).unwrap();
    coder.finish().unwrap()
}

fn br() -> Vec<u8> {
    let digits = BR.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// Content of 64 MiB, or many times that, and its codings.
fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let megabyte = vec![b'a'; MEGABYTE];
    let members = gzip(&megabyte).repeat(64);
    let frames = zstd::encode_all(&megabyte[..], 3).unwrap().repeat(64);
    vec![
        ("gzip, gzip", gzip(&members)),
        ("gzip, zstd", zstd::encode_all(&members[..], 19).unwrap()),
        ("br, gzip", gzip(&br())),
        ("zstd, deflate", zlib(&frames)),
        ("zstd, zstd", zstd::encode_all(&frames[..], 19).unwrap()),
        ("gzip", members),
        ("zstd", frames),
        ("deflate", zlib(&megabyte.repeat(64))),
        ("br", br()),
    ]
}

fn post(codings: &str, content: &[u8], piece: usize) -> Request<ScriptedBody> {
    let steps = content.chunks(piece).map(|piece| Script::Data(Bytes::copy_from_slice(piece)));
    let request = Request::post("/a").header("host", "a.test");
    let request = request.header("content-type", "text/plain").header("content-encoding", codings);
    request.body(ScriptedBody::new(steps)).unwrap()
}

/// The answer to a request, and what its record says of it.
async fn answered(
    config: InspectConfig,
    request: Request<ScriptedBody>,
) -> (Response<()>, Vec<(Verdict, Option<String>)>) {
    let exchange = ExchangeBuilder::new().build();
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(exchange.clone());
    let answer = Answer::Respond(Response::new(ScriptedBody::empty()));
    let (stub, _handle) = StubService::<_, Infallible>::once(answer);
    let layer = InspectLayer::new(Engine::new(config).unwrap());
    let response = layer.layer(stub).oneshot(Request::from_parts(parts, body)).await.unwrap();
    let decisions = exchange.with_decisions(|all| {
        let rule = |d: &proxy_core::Decision| d.rule.as_deref().map(ToOwned::to_owned);
        all.iter().map(|d| (d.verdict, rule(d))).collect()
    });
    (response.map(|_| ()), decisions)
}

fn limit_coding() -> Option<String> {
    Some("limit-coding".to_owned())
}

#[tokio::test]
async fn a_bomb_is_413_with_a_reason_whatever_is_done_beyond_other_limits() {
    for on_limit in [OnLimit::Pass, OnLimit::Deny] {
        for (codings, content) in corpus() {
            let config = InspectConfig { on_limit, ..InspectConfig::default() };
            let (response, told) = answered(config, post(codings, &content, 10_000)).await;
            assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE, "{codings}");
            let refusal = response.extensions().get::<Refusal>().expect("a refusal");
            assert_eq!(refusal.reason, "decompression_bomb", "{codings}");
            assert_eq!(refusal.rule_id.as_deref(), Some("limit-coding"), "{codings}");
            assert_eq!(told, [(Verdict::Deny, limit_coding())], "{codings}");
        }
    }
}

#[tokio::test]
async fn where_nothing_is_refused_it_is_reported() {
    for (codings, content) in corpus() {
        let config = InspectConfig { mode: Mode::Report, ..InspectConfig::default() };
        let request = post(codings, &content, 10_000);
        let exchange = ExchangeBuilder::new().build();
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(exchange.clone());
        let layer = InspectLayer::new(Engine::new(config).unwrap());
        let echo = tower::service_fn(|request: Request<_>| async {
            let body = http_body_util::BodyExt::collect(request.into_body()).await.unwrap();
            Ok::<_, Infallible>(Response::new(http_body_util::Full::new(body.to_bytes())))
        });
        let request = Request::from_parts(parts, body);
        let response = layer.layer(echo).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{codings}");
        let sent = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
        assert!(sent.to_bytes() == content, "{codings}: it goes on as it came");
        let told: Vec<_> = exchange.with_decisions(|all| {
            all.iter().map(|d| (d.verdict, d.rule.as_deref().map(ToOwned::to_owned))).collect()
        });
        assert_eq!(told, [(Verdict::Report, limit_coding())], "{codings}");
    }
}

#[tokio::test]
async fn a_limit_that_denies_is_413_and_text_that_repeats_itself_is_no_bomb() {
    let config = |on_limit| InspectConfig { content_limit: 5000, on_limit, ..Default::default() };
    let long = "lorem ipsum ".repeat(1000);
    let request = || {
        let request = Request::post("/a").header("host", "a.test");
        let request = request.header("content-type", "text/plain");
        request.body(ScriptedBody::new([Script::Data(Bytes::from(long.clone()))])).unwrap()
    };
    let (response, _) = answered(config(OnLimit::Deny), request()).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let refusal = response.extensions().get::<Refusal>().expect("a refusal");
    assert_eq!(refusal.reason, "request_inspection");
    let (response, _) = answered(config(OnLimit::Pass), request()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let (response, told) =
        answered(InspectConfig::default(), post("gzip", &gzip(&vec![b'a'; MEGABYTE]), 999)).await;
    assert_eq!((response.status(), told), (StatusCode::OK, Vec::new()));
}

#[test]
fn the_rule_can_be_left_out() {
    let exclusions = vec![Exclusion { rule: "limit-coding".into(), parameter: None }];
    let engine = Engine::new(InspectConfig { exclusions, ..InspectConfig::default() }).unwrap();
    let head = Request::post("/a")
        .header("content-type", "text/plain")
        .header("content-encoding", "br")
        .body(())
        .unwrap();
    let Next::Content(mut inspection) = engine.begin(RequestHead::of(&head), true).next else {
        panic!("content is inspected");
    };
    assert_ne!(inspection.chunk(&Bytes::from(br())), Step::Block);
    assert_eq!(inspection.finish(), Step::Pass);
    assert!(inspection.report().findings.iter().all(|f| f.class != Class::Limit));
}
