//! Every layer of proxy-core keeps the layer contract.

use http::{Method, Request};
use proxy_core::hygiene::{HygieneLayer, Role};
use proxy_core::trust::AddressSource;
use proxy_core::{
    CatchPanicLayer, ClientAddrLayer, ErrorKind, ErrorPagesLayer, PathPolicy, ProxyError,
    RescueLayer,
};
use proxy_testkit::contract::{BODY_OVERHEAD, SERVICE_OVERHEAD, Sizes};
use proxy_testkit::{LayerContract, assert_layer_contract};
use tower::ServiceBuilder;

fn request(method: Method, target: &str, host: Option<&str>) -> Request<()> {
    let builder = Request::builder().method(method).uri(target);
    let builder = match host {
        Some(host) => builder.header("host", host),
        None => builder,
    };
    builder.body(()).expect("a valid request")
}

/// A future that is a box has the size of one; ours hold the inner future itself.
#[track_caller]
fn is_unboxed(sizes: Sizes) {
    assert!(sizes.future.outer >= sizes.future.inner, "a boxed future? {sizes}");
}

#[tokio::test]
async fn hygiene_as_a_gateway() {
    let sizes = LayerContract::new(HygieneLayer::new(Role::Gateway, "edge"))
        .refuses(|| request(Method::GET, "/", None))
        .refuses(|| request(Method::GET, "/a/../../b", Some("a.test")))
        .refuses(|| request(Method::CONNECT, "a.test:443", Some("a.test")))
        .run()
        .await;
    is_unboxed(sizes);
    assert_eq!(sizes.request_body.overhead(), 0, "the request's body keeps its type");
}

#[tokio::test]
async fn hygiene_as_a_forward_proxy() {
    let layer = HygieneLayer::new(Role::Forward, "edge").path_policy(PathPolicy::default());
    let sizes = LayerContract::new(layer)
        .request(|| request(Method::GET, "http://a.test/x", Some("a.test")))
        .refuses(|| request(Method::GET, "/", Some("a.test")))
        .refuses(|| request(Method::CONNECT, "a.test", Some("a.test")))
        .run()
        .await;
    is_unboxed(sizes);
}

#[tokio::test]
async fn client_address() {
    let trusted = ["192.0.2.0/24".parse().expect("a network")].into_iter().collect();
    let sizes =
        assert_layer_contract(ClientAddrLayer::new(trusted, AddressSource::Forwarded)).await;
    is_unboxed(sizes);
    assert_eq!(sizes.request_body.overhead(), 0);
    assert_eq!(sizes.response_body.overhead(), 0, "it touches neither body");

    let silent = ClientAddrLayer::new([].into_iter().collect(), AddressSource::default());
    assert_layer_contract(silent.announce(false)).await;
}

#[tokio::test]
async fn error_pages() {
    let sizes = assert_layer_contract(ErrorPagesLayer::new("edge").show_rules(true)).await;
    is_unboxed(sizes);
    assert_eq!(sizes.request_body.overhead(), 0);
}

#[tokio::test]
async fn catch_panic() {
    let sizes = assert_layer_contract(CatchPanicLayer).await;
    is_unboxed(sizes);
    assert_eq!(sizes.service.overhead(), 0, "it has no state");
}

#[tokio::test]
async fn rescue() {
    let error = || ProxyError::new(ErrorKind::ConnectionRefused);
    let sizes = LayerContract::new(RescueLayer).run_absorbing(error).await;
    is_unboxed(sizes);
    assert!(sizes.service.overhead() <= 8, "no more than an error of readiness: {sizes}");
}

/// What each layer keeps, the stack of them keeps; only the sizes add up.
#[tokio::test]
async fn two_layers_are_one() {
    let stack = ServiceBuilder::new()
        .layer(CatchPanicLayer)
        .layer(HygieneLayer::new(Role::Gateway, "edge"));
    let sizes = LayerContract::new(stack).refuses(|| request(Method::GET, "/", None)).run().await;
    assert!(sizes.response_body.overhead() <= BODY_OVERHEAD, "{sizes}");
    assert!(sizes.service.overhead() <= SERVICE_OVERHEAD, "{sizes}");
}
