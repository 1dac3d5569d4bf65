//! Who ended an exchange, and in which phase: a case for each pair of letters.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use proxy_core::{
    Attempt, ConnectionEvent, ConnectionEvents, Decision, ErrorKind, Exchange, TunnelEnd,
    TunnelOutcome, Verdict,
};
use proxy_testkit::{Answer, ScriptedBody, Step};
use tower::{Service, ServiceExt};

use crate::scene::{Scene, respond};

fn decide(exchange: &Exchange, verdict: Verdict, kind: ErrorKind) {
    exchange.set_error(kind);
    let decision = Decision { layer: "t", rule: None, verdict, reason: "r".into() };
    exchange.decide(decision);
}

fn tried(exchange: &Exchange, reused: bool) {
    exchange.with_attempts(|all| all.push(Attempt { reused, ..Attempt::default() }));
}

/// The letters of an exchange that was answered with this status, prepared like this.
async fn answered(status: u16, prepare: impl FnOnce(&Exchange)) -> String {
    let scene = Scene::new();
    let request = scene.get("/");
    prepare(Exchange::of(&request).unwrap());
    let mut service = scene.serve(respond(status, ScriptedBody::new([Step::data("hello")])));
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    scene.memory.only().termination
}

#[tokio::test]
async fn a_whole_answer() {
    assert_eq!(answered(200, |_| {}).await, "--");
    assert_eq!(answered(404, |_| {}).await, "--", "the upstream's own");
    let stored = |x: &Exchange| x.set_error(ErrorKind::ConnectionRefused);
    assert_eq!(answered(200, stored).await, "--", "a stored response stood in");
}

#[tokio::test]
async fn a_refusal() {
    use {ErrorKind as E, Verdict as V};
    for (status, verdict, kind, code) in [
        (403, V::Deny, E::HttpRequestDenied, "PR"),
        (407, V::Challenge, E::HttpRequestDenied, "PR"),
        (302, V::Redirect, E::HttpRequestDenied, "PR"),
        (400, V::Deny, E::HttpRequestError, "PR"),
        (508, V::Deny, E::ProxyLoopDetected, "PR"),
        (408, V::Deny, E::HttpRequestError, "cR"),
        (429, V::Limit, E::HttpRequestDenied, "RQ"),
        (503, V::Deny, E::ConnectionLimitReached, "RQ"),
        (503, V::Deny, E::HttpRequestDenied, "RQ"),
        (403, V::Deny, E::DestinationIpProhibited, "PC"),
        (500, V::Deny, E::ProxyInternalError, "IQ"),
    ] {
        let seen = answered(status, |x| decide(x, verdict, kind)).await;
        assert_eq!(seen, code, "{status} {verdict:?} {kind}");
    }
    let late = |x: &Exchange| {
        tried(x, true);
        decide(x, V::Deny, E::HttpRequestDenied);
    };
    assert_eq!(answered(403, late).await, "PH", "what the upstream answered was judged");
}

#[tokio::test]
async fn an_upstream_that_fails() {
    use ErrorKind as E;
    for (kind, code) in [
        (E::DnsTimeout, "sN"),
        (E::DnsError, "SN"),
        (E::ConnectionRefused, "SC"),
        (E::DestinationIpUnroutable, "SC"),
        (E::ConnectionTimeout, "sC"),
        (E::ConnectionTerminated, "SH"),
        (E::HttpResponseTimeout, "sH"),
        (E::ConnectionReadTimeout, "sH"),
        (E::HttpProtocolError, "SH"),
        (E::ConnectionLimitReached, "RC"),
    ] {
        let seen = answered(kind.status().as_u16(), |x| {
            tried(x, false);
            decide(x, Verdict::Fail, kind);
        });
        assert_eq!(seen.await, code, "{kind}");
    }
    let untried = |x: &Exchange| decide(x, Verdict::Fail, E::DestinationUnavailable);
    assert_eq!(answered(503, untried).await, "SQ");
}

/// The letters where the client leaves before the response.
async fn left(body: ScriptedBody, prepare: impl FnOnce(&Exchange)) -> String {
    let scene = Scene::new();
    let request = scene.get("/").map(|_| body);
    prepare(Exchange::of(&request).unwrap());
    let mut service = scene.serve(Answer::Never);
    drop(service.ready().await.unwrap().call(request));
    scene.memory.only().termination
}

#[tokio::test]
async fn a_client_that_leaves_in_each_phase() {
    let coming = || ScriptedBody::new([Step::data("half"), Step::Never]);
    assert_eq!(left(coming(), |_| {}).await, "CR");
    assert_eq!(left(ScriptedBody::empty(), |_| {}).await, "CQ");
    assert_eq!(left(ScriptedBody::empty(), |x| tried(x, false)).await, "CC");
    let resolving = |x: &Exchange| {
        tried(x, false);
        x.with_attempts(|all| all.last_mut().unwrap().resolving = true);
    };
    assert_eq!(left(ScriptedBody::empty(), resolving).await, "CN");
    assert_eq!(left(ScriptedBody::empty(), |x| tried(x, true)).await, "CH");
    assert_eq!(left(coming(), |x| tried(x, true)).await, "CR");

    let scene = Scene::new();
    let body = ScriptedBody::new([Step::data("half"), Step::data("rest")]);
    let mut service = scene.serve(respond(200, body));
    let response = service.ready().await.unwrap().call(scene.get("/")).await.unwrap();
    let mut body = Box::pin(response.into_body());
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(scene.memory.only().termination, "CD");
}

#[tokio::test]
async fn a_response_that_breaks_off() {
    for (kind, code) in [
        (None, "SD"),
        (Some(ErrorKind::ConnectionTerminated), "SD"),
        (Some(ErrorKind::ConnectionReadTimeout), "sD"),
        (Some(ErrorKind::ProxyInternalError), "ID"),
        (Some(ErrorKind::HttpRequestDenied), "PD"),
    ] {
        let scene = Scene::new();
        let request = scene.get("/");
        kind.inspect(|kind| Exchange::of(&request).unwrap().set_error(*kind));
        let body = ScriptedBody::new([Step::data("half"), Step::Error("reset")]);
        let mut service = scene.serve(respond(200, body));
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        response.into_body().collect().await.unwrap_err();
        assert_eq!(scene.memory.only().termination, code);
    }
}

#[tokio::test]
async fn a_tunnel() {
    for (end, code) in [
        (TunnelEnd::Closed, "--"),
        (TunnelEnd::ClientError, "CT"),
        (TunnelEnd::UpstreamError, "ST"),
        (TunnelEnd::Refused, "PT"),
        (TunnelEnd::Idle, "KT"),
        (TunnelEnd::Lifetime, "KT"),
        (TunnelEnd::Drained, "KT"),
    ] {
        let scene = Scene::new();
        let exchange = scene.exchange();
        scene.observer.on_event(exchange.connection(), ConnectionEvent::Opened);
        let request = Request::connect("b.test:443").extension(exchange.clone());
        let request = request.body(ScriptedBody::empty()).unwrap();
        let mut service = scene.serve(respond(200, ScriptedBody::empty()));
        drop(service.ready().await.unwrap().call(request).await.unwrap());
        let outcome = TunnelOutcome { end, sent: 0, received: 0, duration: Duration::ZERO };
        let closed = ConnectionEvent::TunnelClosed { exchange: Some(&exchange), outcome: &outcome };
        scene.observer.on_event(exchange.connection(), closed);
        assert_eq!(scene.memory.only().termination, code, "{end:?}");
    }
}
