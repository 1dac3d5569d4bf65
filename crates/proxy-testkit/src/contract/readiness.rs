//! Clause 2: readiness, and errors on their way.

use std::task::Poll;

use http::Response;
use tower_layer::Layer;

use super::suite::{Suite, no_misuse, settle};
use super::{Clause, Inner, Subject};
use crate::body::ScriptedBody;
use crate::service::{Answer, StubError};
use crate::wakes::WakeCount;

const CLAUSE: Clause = Clause::Readiness;

impl<L, E> Suite<'_, L, E>
where
    L: Layer<Inner<E>> + 'static,
    L::Service: Subject,
    E: Send + 'static,
{
    pub(super) async fn forwards_readiness(&self) {
        let answer = Answer::Respond(Response::new(ScriptedBody::empty()));
        let (mut service, handle) = self.service(answer);
        if !self.contract.defers {
            let wakes = WakeCount::new();
            handle.set_pending();
            let pending = wakes.poll(|cx| service.poll_readiness(cx)).is_pending();
            CLAUSE.holds(pending, "`poll_ready` is ready although the inner service is not");
            CLAUSE.holds(wakes.count() == 0, "a pending `poll_ready` wakes its caller by itself");
            handle.set_ready();
            CLAUSE.holds(wakes.count() > 0, "the wake of a pending `poll_ready` gets lost");
        }
        let clones = handle.clones();
        let future = self.call(&mut service, self.request(ScriptedBody::empty())).await;
        let outcome = settle(CLAUSE, "the response", std::pin::pin!(future)).await;
        no_misuse(&handle);
        CLAUSE.holds(outcome.is_ok(), "an error although the inner service answered");
        if !self.contract.defers {
            let same = handle.clones() == clones;
            CLAUSE.holds(same, "`call` clones the inner service although it does not defer");
        }
        CLAUSE.holds(handle.calls() == 1, "one request is not one call of the inner service");
    }

    /// Polls a service whose inner one has failed.
    fn poll_failed(&self) -> Option<Poll<Result<(), <L::Service as Subject>::Fault>>> {
        if self.contract.defers {
            return None;
        }
        let (mut service, handle) = self.service(Answer::Never);
        handle.fail_readiness((self.error)());
        Some(WakeCount::new().poll(|cx| service.poll_readiness(cx)))
    }

    /// A layer that answers errors is ready where its inner service has failed: its call will
    /// fail, and that is answered.
    pub(super) fn absorbs_failed_readiness(&self) {
        let ready = self.poll_failed().is_none_or(|poll| matches!(poll, Poll::Ready(Ok(()))));
        CLAUSE.holds(ready, "`poll_ready` is not ready although the layer answers all errors");
    }

    pub(super) async fn absorbs_errors(&self) {
        let (mut service, handle) = self.service(Answer::Fail((self.error)()));
        let future = self.call(&mut service, self.request(ScriptedBody::empty())).await;
        let outcome = settle(Clause::Shape, "the response", std::pin::pin!(future)).await;
        no_misuse(&handle);
        Clause::Shape.holds(outcome.is_ok(), "an error although the layer answers all errors");
    }
}

impl<L> Suite<'_, L, StubError>
where
    L: Layer<Inner<StubError>> + 'static,
    L::Service: Subject<Fault = StubError>,
{
    pub(super) fn forwards_failed_readiness(&self) {
        let expected = Poll::Ready(Err((self.error)()));
        let same = self.poll_failed().is_none_or(|poll| poll == expected);
        CLAUSE.holds(same, "`poll_ready` does not forward the inner service's error");
    }

    pub(super) async fn forwards_errors(&self) {
        let (mut service, handle) = self.service(Answer::Fail((self.error)()));
        let future = self.call(&mut service, self.request(ScriptedBody::empty())).await;
        let outcome = settle(Clause::Shape, "the response", std::pin::pin!(future)).await;
        no_misuse(&handle);
        let same = outcome.err() == Some((self.error)());
        Clause::Shape.holds(same, "the inner service's error does not come out as it was");
    }
}
