//! The filter layer keeps the contract of layers, whether its policies answer at once or later.

use http::{Method, Request, StatusCode};
use proxy_core::Refusal;
use proxy_filter::policies::MethodPolicy;
use proxy_filter::{FilterLayer, Policies, Verdict, policy};
use proxy_testkit::LayerContract;

fn get() -> Request<()> {
    Request::get("/").header("host", "a.test").body(()).unwrap()
}

fn post() -> Request<()> {
    Request::post("/").header("host", "a.test").body(()).unwrap()
}

fn trace() -> Request<()> {
    Request::builder().method("TRACE").uri("/").header("host", "a.test").body(()).unwrap()
}

#[tokio::test]
async fn with_policies_that_answer_at_once() {
    let layer = FilterLayer::new(
        Policies::new()
            .then(MethodPolicy::allow([Method::GET, Method::HEAD, Method::POST]))
            .then(MethodPolicy::deny([Method::POST]).rule("no-posts")),
    );
    LayerContract::new(layer).request(get).refuses(post).refuses(trace).run().await;
}

#[tokio::test]
async fn with_policies_that_take_a_while() {
    let layer = FilterLayer::new(policy(|asked| {
        let refused = *asked.method() == Method::POST;
        Verdict::defer(async move {
            tokio::task::yield_now().await;
            match refused {
                true => Refusal::new(StatusCode::FORBIDDEN, "denied_by_rule").into(),
                false => Verdict::Allow,
            }
        })
    }));
    LayerContract::new(layer).request(get).refuses(post).defers().run().await;
}
