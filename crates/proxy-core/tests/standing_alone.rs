//! What each layer does by itself, where no other layer of ours stands around it.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use proxy_core::error_pages::accepts_html;
use proxy_core::{CatchPanicLayer, ErrorKind, ProxyError, Refusal, RescueLayer};
use proxy_testkit::{Answer, ExchangeBuilder, PoisonBody, ScriptedBody, StubService};
use tower::{Layer, Service, ServiceExt};

/// A service whose `poll_ready` failed must not be called (tower-service, `poll_ready`): those of
/// tower that reserve a slot panic then. The error of `poll_ready` is the one to answer.
#[tokio::test]
async fn rescue_answers_failed_readiness_without_a_call() {
    let answer = || Answer::Respond(Response::new(ScriptedBody::empty()));
    let (stub, handle) = StubService::<ScriptedBody, ProxyError>::new(answer);
    handle.fail_readiness(ProxyError::new(ErrorKind::ConnectionLimitReached));
    let mut service = RescueLayer.layer(stub);
    let service = ServiceExt::<Request<PoisonBody>>::ready(&mut service).await;
    let Ok(service) = service;
    let Ok(response) = service.call(Request::new(PoisonBody)).await;
    assert_eq!(handle.calls(), 0);
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.extensions().get::<Refusal>().is_some());
}

/// The layer says that the error is in the exchange; an embedder may use it alone.
#[tokio::test]
async fn a_caught_panic_is_in_the_record_by_itself() {
    let (stub, _) = StubService::<ScriptedBody, ProxyError>::once(Answer::PanicInFuture);
    let exchange = ExchangeBuilder::new().build();
    let mut request = Request::new(PoisonBody);
    request.extensions_mut().insert(exchange.clone());
    let response = CatchPanicLayer.layer(stub).oneshot(request).await.expect("a response");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(exchange.error(), Some(ErrorKind::ProxyInternalError));
}

/// A weight's name is case-insensitive, as every parameter's (RFC 9110 sections 5.6.6, 12.4.2).
#[test]
fn a_weight_may_be_in_capitals() {
    let mut fields = HeaderMap::new();
    fields.insert(ACCEPT, HeaderValue::from_static("text/html;Q=0, */*"));
    assert!(!accepts_html(&fields));
}

/// `Proxy-Status` is a list of items (RFC 9209 section 2); a name that is no token stands there as
/// a string, or with other bytes replaced, as in `Via`.
#[tokio::test]
async fn the_name_in_proxy_status_is_an_item() {
    let answer = || Answer::<ScriptedBody, ProxyError>::Fail(ErrorKind::DnsError.into());
    let (stub, _) = StubService::new(answer);
    let stack = proxy_core::ErrorPagesLayer::new("my proxy, 1").layer(RescueLayer.layer(stub));
    let Ok(response) = stack.oneshot(Request::new(PoisonBody)).await;
    let status = response.headers()["proxy-status"].to_str().expect("text");
    let name = status.split(';').next().unwrap_or_default();
    let quoted = name.len() > 1 && name.starts_with('"') && name.ends_with('"');
    let is_token = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    assert!(quoted || is_token, "{status}");
}
