//! The contract suite against layers that break it: each fault is caught, and named.

mod complaint;
mod faulty;

use complaint::{complains, complaint};
use faulty::{BodyFault, CallFault, Faults, FaultyLayer, Oversized};
use proxy_testkit::assert_layer_contract;

#[test]
fn a_layer_without_fault_passes() {
    assert_eq!(complaint(assert_layer_contract(<FaultyLayer>::new(Faults::default()))), None);
}

#[test]
fn a_fault_in_the_call_is_caught() {
    for (fault, of) in [
        (CallFault::ClonesAndCallsTheClone, "`call` on an inner service that was not polled ready"),
        (CallFault::ClonesWithoutNeed, "clause 2 (readiness): `call` clones the inner service"),
        (CallFault::ReadyWithoutAsking, "clause 2 (readiness): `poll_ready` is ready although"),
        (CallFault::WakesWhileNotReady, "clause 2 (readiness): a pending `poll_ready` wakes"),
        (CallFault::LosesReadyWake, "clause 2 (readiness): the wake of a pending `poll_ready`"),
        (CallFault::BuffersResponse, "clause 4 (bodies): response content: it was read before"),
        (
            CallFault::WakesWhilePending,
            "clause 5 (cancellation): a pending future wakes its caller",
        ),
        (CallFault::LeaksFuture, "clause 5 (cancellation): the future was dropped after 0 polls"),
        (CallFault::KeepsServices, "clause 5 (cancellation): the service was dropped"),
        (CallFault::AnswersByItself, "a response before the inner service had given one"),
        (CallFault::ChangesStatus, "clause 7 (records): the response has another status"),
        (CallFault::ReplacesExchange, "clause 7 (records): the inner service does not see"),
        (CallFault::LosesRequestExtensions, "clause 7 (records): the inner service does not see"),
        (CallFault::LosesResponseExtensions, "clause 7 (records): an extension of the response"),
        (CallFault::AnswersErrors, "clause 1 (shape): the inner service's error does not come out"),
        (CallFault::NeedsExchange, "needs an exchange"),
    ] {
        let faults = Faults { call: Some(fault), ..Faults::default() };
        complains(assert_layer_contract(<FaultyLayer>::new(faults)), of);
    }
}

#[test]
fn a_fault_in_a_body_is_caught_on_either_side() {
    for (fault, of) in [
        (BodyFault::DropsTrailers, "the trailers are lost"),
        (BodyFault::ForgetsSizeHint, "the size hint is"),
        (BodyFault::ForgetsEndOfStream, "is_end_stream is false where the inner is true"),
        (BodyFault::EndsEarly, "is_end_stream is true where the inner is false"),
        (BodyFault::PollsAfterEnd, "a body was polled after its end"),
        (BodyFault::ReadsAhead, "polled more than once for one frame"),
        (BodyFault::WakesWhilePending, "a pending body wakes its reader by itself"),
        (BodyFault::LosesWake, "the wake of the inner body gets lost"),
        (BodyFault::PausesByItself, "it is pending although the inner body is not"),
        (BodyFault::SwallowsErrors, "an error becomes a clean end"),
        (BodyFault::ReplacesErrors, "the error \"the script breaks\" became"),
        (BodyFault::ChangesData, "the frame"),
        (BodyFault::Leaks, "lives on"),
    ] {
        for (side, faults) in [
            ("request", Faults { request: Some(fault), ..Faults::default() }),
            ("response", Faults { response: Some(fault), ..Faults::default() }),
        ] {
            let layer = <FaultyLayer>::new(faults);
            if fault != BodyFault::PollsAfterEnd {
                complains(assert_layer_contract(layer.clone()), side);
            }
            complains(assert_layer_contract(layer), of);
        }
    }
}

#[test]
fn a_fat_service_is_caught() {
    let layer = FaultyLayer::<Oversized, ()>::new(Faults::default());
    complains(assert_layer_contract(layer), "clause 6 (clones): the service has");
}

#[test]
fn a_fat_body_is_caught() {
    let layer = FaultyLayer::<(), Oversized>::new(Faults::default());
    complains(assert_layer_contract(layer), "clause 4 (bodies): request content: the wrapper has");
}
