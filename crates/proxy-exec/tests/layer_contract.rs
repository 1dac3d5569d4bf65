//! The layers keep the contract of layers.

mod support;

use http::Request;
use proxy_exec::{ExecConfig, ExecEntryLayer, ExecLayer};
use proxy_testkit::LayerContract;

#[tokio::test]
async fn the_layer_that_answers_some_requests() {
    let program = support::service(ExecConfig::new("true"));
    let layer = ExecLayer::new("/no/such/path", program).unwrap();
    let sizes = LayerContract::new(layer).changes_response_content().run().await;
    assert!(sizes.response_body.overhead() <= 64);
}

#[tokio::test]
async fn the_layer_above_a_cache() {
    let program = support::service(ExecConfig::new("true"));
    LayerContract::new(ExecEntryLayer::new(&program))
        .request(|| Request::get("/").header("host", "localhost").body(()).unwrap())
        .refuses(|| Request::get("/?unknown=1").header("host", "localhost").body(()).unwrap())
        .changes_response_content()
        .run()
        .await;
}
