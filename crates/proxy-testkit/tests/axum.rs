//! The layers of proxy-core in a real axum router, one line each.

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use proxy_core::hygiene::{HygieneLayer, Role};
use proxy_core::trust::AddressSource;
use proxy_core::{CatchPanicLayer, ClientAddrLayer, ErrorPagesLayer, IpSet};
use proxy_testkit::{ScriptedBody, Step};
use tower::ServiceExt;

fn router() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/echo", post(|content: axum::body::Bytes| async { content }))
        .route("/panic", get(panics))
        // The last one is the outermost.
        .layer(ClientAddrLayer::new(IpSet::default(), AddressSource::default()))
        .layer(HygieneLayer::new(Role::Gateway, "edge"))
        .layer(CatchPanicLayer)
        .layer(ErrorPagesLayer::new("edge"))
}

async fn panics() -> StatusCode {
    panic!("on purpose");
}

async fn ask(request: Request<Body>) -> (StatusCode, String) {
    let response = router().oneshot(request).await.unwrap_or_else(|never| match never {});
    let status = response.status();
    let content = response.into_body().collect().await.expect("content").to_bytes();
    (status, String::from_utf8(content.to_vec()).expect("text"))
}

#[tokio::test]
async fn a_request_passes() {
    let request = Request::get("/").header("host", "a.test").body(Body::empty());
    assert_eq!(ask(request.expect("valid")).await, (StatusCode::OK, "hello".to_owned()));
}

#[tokio::test]
async fn content_passes() {
    // An axum body must be `Send + 'static`, not `Sync` or `Unpin`: a scripted body is neither.
    let content =
        Body::new(ScriptedBody::new([Step::data("one "), Step::Yield, Step::data("two")]));
    let request = Request::post("/echo").header("host", "a.test").body(content);
    assert_eq!(ask(request.expect("valid")).await, (StatusCode::OK, "one two".to_owned()));
}

#[tokio::test]
async fn a_refusal_has_its_page() {
    let (status, page) = ask(Request::get("/").body(Body::empty()).expect("valid")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(page.contains("\"reason\":\"host_missing\""), "{page}");
}

#[tokio::test]
async fn a_panic_in_a_handler_costs_one_request() {
    let request = Request::get("/panic").header("host", "a.test").body(Body::empty());
    let (status, page) = ask(request.expect("valid")).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!page.contains("on purpose"), "{page}");
}
