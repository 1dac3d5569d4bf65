//! What a layer may say of itself, what the suite then lets pass, and what it still does not.

mod complaint;
mod declared;

use complaint::{complains, complaint};
use declared::{DeferLayer, OnceLayer, RefuseLayer, UppercaseLayer, Wrong};
use http::Request;
use proxy_testkit::{LayerContract, assert_layer_contract};

#[test]
fn a_layer_that_defers_says_so() {
    let layer = DeferLayer { polls: true };
    assert_eq!(complaint(LayerContract::new(layer).defers().run()), None);
    complains(assert_layer_contract(layer), "clause 2 (readiness): `poll_ready` is ready although");
}

#[test]
fn a_layer_that_defers_polls_all_the_same() {
    let suite = LayerContract::new(DeferLayer { polls: false }).defers().run();
    complains(suite, "clause 2 (readiness): `call` on an inner service that was not polled ready");
}

#[test]
fn a_layer_that_changes_content_says_so() {
    let honest = || LayerContract::new(UppercaseLayer { keeps_trailers: true });
    assert_eq!(complaint(honest().changes_response_content().run()), None);
    complains(honest().run(), "clause 4 (bodies): response content: the");
    complains(honest().changes_request_content().run(), "clause 4 (bodies): response content: the");
}

#[test]
fn a_layer_that_changes_content_keeps_the_trailers() {
    let layer = UppercaseLayer { keeps_trailers: false };
    let suite = LayerContract::new(layer).changes_response_content().run();
    complains(suite, "clause 4 (bodies): response content: the trailers are lost");
}

#[test]
fn a_layer_that_remembers_is_new_for_each_check() {
    assert_eq!(complaint(LayerContract::from_fn(OnceLayer::default).run()), None);
    complains(
        assert_layer_contract(OnceLayer::default()),
        "the inner service was called 0 times for one request",
    );
}

fn refused() -> Request<()> {
    Request::get("/refused").body(()).expect("a valid request")
}

#[test]
fn a_refusal_is_checked_where_it_is_declared() {
    let suite = |wrong| LayerContract::new(RefuseLayer { wrong }).refuses(refused).run();
    assert_eq!(complaint(suite(None)), None);
    for (wrong, of) in [
        (Wrong::PassesOn, "clause 3 (refusals): GET /refused: the inner service was called"),
        (Wrong::CallsAsWell, "clause 3 (refusals): GET /refused: the inner service was called"),
        (Wrong::WithoutRefusal, "clause 3 (refusals): GET /refused: no `Refusal`"),
        (Wrong::AnotherStatus, "clause 3 (refusals): GET /refused: the response has another"),
        (Wrong::ReadsContent, "clause 3 (refusals): GET /refused: the request's content was read"),
        (Wrong::KeepsContent, "clause 3 (refusals): GET /refused: the request's content lives on"),
        (Wrong::Unrecorded, "clause 3 (refusals): GET /refused: the decision is not in the"),
    ] {
        complains(suite(Some(wrong)), of);
    }
}
