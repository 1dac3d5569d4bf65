//! The layer contract.

use proxy_observe::ObserveLayer;
use proxy_testkit::{LayerContract, assert_layer_contract};

#[tokio::test]
async fn the_layer_keeps_the_contract() {
    let scene = crate::scene::Scene::new();
    let sizes = assert_layer_contract(ObserveLayer::new(scene.observer.clone())).await;
    assert!(sizes.response_body.overhead() <= 64);
    // Whatever the suite dropped and broke: what started was finished.
    let started = scene.memory.started.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(scene.memory.records().len(), started);
    assert!(started > 0);
}

#[tokio::test]
async fn so_it_does_without_sinks() {
    let clock = std::sync::Arc::new(proxy_testkit::ManualClock::new());
    let observer = proxy_observe::Observer::new(clock, []);
    LayerContract::new(ObserveLayer::new(observer)).run().await;
}
