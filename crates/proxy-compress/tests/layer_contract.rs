//! The layers keep the contract of layers, whether they code or not.

use std::sync::Arc;

use http::Request;
use proxy_compress::{
    Candidate, Coding, CompressConfig, CompressLayer, DecodeLayer, Eligibility, Skip, Unacceptable,
};
use proxy_testkit::LayerContract;

/// Everything is worth it.
struct Everything;

impl Eligibility for Everything {
    fn judge(&self, _: Candidate<'_>) -> Result<(), Skip> {
        Ok(())
    }
}

#[tokio::test]
async fn what_is_not_coded_passes_as_it_is() {
    let config = CompressConfig { unacceptable: Unacceptable::Refuse, ..CompressConfig::default() };
    let sizes = LayerContract::new(CompressLayer::new(config))
        .refuses(|| Request::get("/").header("accept-encoding", "*;q=0").body(()).unwrap())
        .run()
        .await;
    assert!(sizes.response_body.overhead() <= 64, "{sizes}");
}

#[tokio::test]
async fn what_is_coded_keeps_its_end_its_trailers_and_its_errors() {
    for coding in Coding::ALL {
        let config =
            CompressConfig { eligibility: Arc::new(Everything), ..CompressConfig::default() };
        let request = move || {
            let request = Request::get("/").header("host", "origin.test");
            request.header("accept-encoding", coding.token()).body(()).unwrap()
        };
        let sizes = LayerContract::new(CompressLayer::new(config))
            .request(request)
            .changes_response_content()
            .run()
            .await;
        assert!(sizes.response_body.overhead() <= 64, "{sizes}");
    }
}

#[tokio::test]
async fn decoding_keeps_it() {
    let request = || Request::get("/").header("accept-encoding", "br").body(()).unwrap();
    let sizes = LayerContract::new(DecodeLayer::default()).request(request).run().await;
    assert!(sizes.response_body.overhead() <= 64, "{sizes}");
}
