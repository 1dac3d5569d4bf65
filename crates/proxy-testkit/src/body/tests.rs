//! The script, step by step.

use http_body::Body as _;

use super::*;
use crate::WakeCount;

#[test]
fn it_follows_its_script() {
    let wakes = WakeCount::new();
    let steps = [Step::data("ab"), Step::Yield, Step::Wait, Step::trailer("x-sum", "1")];
    let body = ScriptedBody::new(steps).exact();
    let probe = body.probe();
    let mut body = Box::pin(body);
    assert_eq!(body.size_hint().exact(), Some(2));
    let mut poll = || wakes.poll(|cx| body.as_mut().poll_frame(cx));
    assert!(matches!(poll(), Poll::Ready(Some(Ok(f))) if f.is_data()));
    assert!(poll().is_pending());
    assert_eq!(wakes.count(), 1);
    assert!(poll().is_pending());
    assert!(poll().is_pending() && probe.is_waiting());
    probe.release();
    assert_eq!(wakes.count(), 2);
    assert!(matches!(poll(), Poll::Ready(Some(Ok(f))) if f.is_trailers()));
    assert!(probe.is_end_stream() && !probe.is_ended());
    assert!(matches!(poll(), Poll::Ready(None)));
    assert_eq!(probe.polls(), 6);
    drop(body);
    assert!(probe.is_dropped());
}

#[test]
#[should_panic(expected = "polled after its end")]
fn an_error_is_an_end() {
    let mut body = Box::pin(ScriptedBody::new([Step::Error("broken")]));
    let wakes = WakeCount::new();
    assert!(matches!(wakes.poll(|cx| body.as_mut().poll_frame(cx)), Poll::Ready(Some(Err(_)))));
    let _ = wakes.poll(|cx| body.as_mut().poll_frame(cx));
}

#[test]
fn an_unknown_end_shows_late() {
    let body = ScriptedBody::empty().end_unknown();
    assert!(!body.is_end_stream());
    assert!(body.size_hint().exact().is_none());
    assert!(ScriptedBody::empty().is_end_stream());
    assert_eq!(ScriptedBody::empty().size_hint().exact(), Some(0));
}
