//! The cache keeps the contract of layers.

use proxy_cache::CacheLayer;
use proxy_cache::store::MemoryStore;
use proxy_testkit::LayerContract;

#[tokio::test]
async fn it_keeps_the_contract_of_layers() {
    let sizes = LayerContract::from_fn(|| CacheLayer::new(MemoryStore::with_capacity(1 << 20)))
        .changes_request_content()
        .changes_response_content()
        .defers()
        .run()
        .await;
    assert!(sizes.response_body.overhead() <= 64);
}
