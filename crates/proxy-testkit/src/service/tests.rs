//! The stub itself: readiness, and every way to answer.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use http_body_util::Empty;
use proxy_core::Clock;
use tower::ServiceExt;

use super::*;
use crate::{ManualClock, WakeCount, poll_once};

type Stub = StubService<Empty<Bytes>, StubError>;

fn respond() -> Answer<Empty<Bytes>, StubError> {
    Answer::Respond(Response::default())
}

fn request() -> Request<Empty<Bytes>> {
    Request::default()
}

#[test]
fn a_clone_is_not_ready() {
    let (mut stub, handle) = Stub::new(respond);
    assert!(
        crate::poll_once(std::pin::pin!(ServiceExt::<Request<Empty<Bytes>>>::ready(&mut stub)))
            .is_ready()
    );
    let mut clone = stub.clone();
    assert!(catch_unwind(AssertUnwindSafe(|| clone.call(request()))).is_err());
    assert_eq!((handle.misuses().len(), handle.live_services()), (1, 2));
    drop(stub.call(request()));
    assert!(catch_unwind(AssertUnwindSafe(|| stub.call(request()))).is_err(), "ready for one call");
    drop((stub, clone));
    assert_eq!((handle.live_services(), handle.live_futures()), (0, 0));
}

#[test]
fn readiness_is_as_told() {
    let (mut stub, handle) = Stub::new(respond);
    let wakes = WakeCount::new();
    let mut poll = || wakes.poll(|cx| Service::<Request<Empty<Bytes>>>::poll_ready(&mut stub, cx));
    handle.set_pending();
    assert!(poll().is_pending());
    handle.set_ready();
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll(), Poll::Ready(Ok(())));
    handle.fail_readiness(StubError("down"));
    assert_eq!(poll(), Poll::Ready(Err(StubError("down"))));
}

#[test]
fn every_way_to_answer() {
    let clock = ManualClock::new();
    let slow =
        Answer::Slow(clock.sleep_until(clock.now() + Duration::from_secs(1)), Box::new(respond()));
    let mut answers = vec![
        Answer::PanicInFuture,
        Answer::PanicInCall,
        slow,
        Answer::Held(Box::new(Answer::Fail(StubError("no")))),
    ];
    let (mut stub, handle) = Stub::new(move || answers.pop().unwrap_or(Answer::Never));
    let mut call = || {
        assert!(
            poll_once(std::pin::pin!(ServiceExt::<Request<Empty<Bytes>>>::ready(&mut stub)))
                .is_ready()
        );
        Box::pin(stub.call(request()))
    };
    let mut held = call();
    let wakes = WakeCount::new();
    assert!(wakes.poll(|cx| held.as_mut().poll(cx)).is_pending());
    handle.release();
    assert_eq!(wakes.count(), 1);
    assert!(matches!(poll_once(held.as_mut()), Poll::Ready(Err(StubError("no")))));

    let mut slow = call();
    assert!(poll_once(slow.as_mut()).is_pending());
    clock.advance(Duration::from_secs(1));
    assert!(poll_once(slow.as_mut()).is_ready());
    assert!(handle.take_request().is_some());

    assert!(catch_unwind(AssertUnwindSafe(&mut call)).is_err());
    let mut panics = call();
    assert!(catch_unwind(AssertUnwindSafe(|| poll_once(panics.as_mut()))).is_err());
    let mut never = call();
    assert!(poll_once(never.as_mut()).is_pending());
    drop((held, slow, panics, never));
    assert_eq!(handle.live_futures(), 0);
    assert!(handle.misuses().is_empty());
}
