//! Clause 5: a drop at any point drops what is inside.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use http_body::Body;
use tower_layer::Layer;

use super::content::Side;
use super::suite::{Handle, Suite, no_misuse};
use super::{Clause, Inner, Subject};
use crate::body::{ScriptedBody, Step};
use crate::service::Answer;
use crate::wakes::WakeCount;

const CLAUSE: Clause = Clause::Cancellation;

impl<L, E> Suite<'_, L, E>
where
    L: Layer<Inner<E>> + 'static,
    L::Service: Subject,
    E: Send + 'static,
{
    pub(super) async fn drops_what_is_dropped(&self) {
        for polls in 0..3 {
            self.drops_the_future(polls).await;
        }
        for side in [Side::Request, Side::Response] {
            for polls in 0..3 {
                self.drops_the_body(side, polls).await;
            }
        }
    }

    async fn drops_the_future(&self, polls: usize) {
        let content = ScriptedBody::new([Step::data("content"), Step::Never]);
        let probe = content.probe();
        let (mut service, handle) = self.service(Answer::Never);
        let mut future = Box::pin(self.call(&mut service, self.request(content)).await);
        let wakes = WakeCount::new();
        for _ in 0..polls {
            let pending = wakes.poll(|cx| future.as_mut().poll(cx)).is_pending();
            CLAUSE.holds(pending, "the layer answers although the inner service does not");
        }
        if !self.contract.defers {
            CLAUSE.holds(wakes.count() == 0, "a pending future wakes its caller by itself");
        }
        drop(future);
        no_misuse(&handle);
        let when = format!("the future was dropped after {polls} polls, but");
        let gone = handle.live_futures() == 0;
        CLAUSE.holds(gone, format_args!("{when} the inner future lives on"));
        CLAUSE.holds(probe.is_dropped(), format_args!("{when} the request's content lives on"));
        drop(service);
        self.no_service_left(&handle);
    }

    fn no_service_left(&self, handle: &Handle<E>) {
        if !self.contract.defers {
            let gone = handle.live_services() == 0;
            CLAUSE.holds(gone, "the service was dropped, but the inner service lives on");
        }
    }

    async fn drops_the_body(&self, side: Side, polls: usize) {
        let script = [Step::data("content"), Step::Never];
        let (mut wrapped, other) = self.wrapped(side, ScriptedBody::new(script)).await;
        let wakes = WakeCount::new();
        for _ in 0..polls {
            let polled = wakes.poll(|cx| Pin::new(&mut wrapped.body).poll_frame(cx));
            let open = !matches!(polled, Poll::Ready(None | Some(Err(_))));
            CLAUSE.holds(open, format_args!("{side} content ends although the inner does not"));
        }
        drop(wrapped.body);
        let gone = wrapped.probe.is_dropped();
        let lives =
            format_args!("{side} content was dropped after {polls} polls, but lives on inside");
        CLAUSE.holds(gone, lives);
        drop(other);
    }
}
