//! Reading one wrapped body against the script of the one inside.

use std::fmt;
use std::pin::Pin;
use std::task::Poll;

use http_body::{Body, Frame};

use super::Clause;
use super::suite::settle_poll;
use crate::body::{BodyProbe, Step};
use crate::service::ErasedBody;
use crate::wakes::WakeCount;

const CLAUSE: Clause = Clause::Bodies;

/// Which message a body belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Response => "response",
        })
    }
}

/// A wrapped body and the view of the one inside.
pub(super) struct Wrapped {
    pub(super) side: Side,
    pub(super) body: ErasedBody,
    pub(super) probe: BodyProbe,
}

type Frames = Option<Result<Frame<bytes::Bytes>, proxy_core::BoxError>>;

impl Wrapped {
    /// Fails with the name of the side.
    #[track_caller]
    fn holds(&self, kept: bool, or: impl fmt::Display) {
        CLAUSE.holds(kept, format_args!("{} content: {or}", self.side));
    }

    /// Reads a body that the layer must pass on as it is, step by step.
    pub(super) fn reads_as_scripted(mut self, script: &[Step]) {
        let wakes = WakeCount::new();
        let mut script = script.iter();
        self.holds(self.probe.polls() == 0, "it was read before anybody asked for it");
        loop {
            self.same_outlook();
            let (polls, woken) = (self.probe.polls(), wakes.count());
            let polled = wakes.poll(|cx| Pin::new(&mut self.body).poll_frame(cx));
            self.holds(self.probe.polls_after_end() == 0, "the inner body is polled after its end");
            if polled.is_pending() {
                self.pending(script.next(), &wakes, woken);
                continue;
            }
            let once = self.probe.polls() <= polls + 1;
            self.holds(once, "the inner body is polled more than once for one frame");
            let Poll::Ready(got) = polled else { return };
            if self.is_last(got, script.next()) {
                return;
            }
        }
    }

    /// What the wrapper says of size and end is what the inner body says.
    fn same_outlook(&self) {
        let (outer, inner) = (self.body.size_hint(), self.probe.size_hint());
        let same = (outer.lower(), outer.upper()) == (inner.lower(), inner.upper());
        self.holds(
            same,
            format_args!("the size hint is {outer:?} where the inner one is {inner:?}"),
        );
        let (outer, inner) = (self.body.is_end_stream(), self.probe.is_end_stream());
        self.holds(
            outer == inner,
            format_args!("is_end_stream is {outer} where the inner is {inner}"),
        );
    }

    fn pending(&self, step: Option<&Step>, wakes: &WakeCount, woken: usize) {
        self.holds(self.probe.is_waiting(), "it is pending although the inner body is not");
        match step {
            Some(Step::Wait) => {
                self.holds(wakes.count() == woken, "a pending body wakes its reader by itself");
                self.probe.release();
                self.holds(wakes.count() > woken, "the wake of the inner body gets lost");
            }
            Some(Step::Yield) => {
                self.holds(wakes.count() > woken, "the wake of the inner body gets lost");
            }
            step => self.holds(false, format_args!("it is pending where {step:?} was due")),
        }
    }

    /// Compares one frame with the step that was due. True where that was the end.
    fn is_last(&self, got: Frames, due: Option<&Step>) -> bool {
        match (got, due) {
            (None, None) => return true,
            (None, Some(Step::Trailers(_))) => self.holds(false, "the trailers are lost"),
            (None, Some(Step::Error(_))) => self.holds(false, "an error becomes a clean end"),
            (None, Some(due)) => self.holds(false, format_args!("it ends where {due:?} was due")),
            (Some(Err(error)), Some(Step::Error(text))) => {
                self.holds(
                    says(&*error, text),
                    format_args!("the error {text:?} became {error:?}"),
                );
                return true;
            }
            (Some(Err(error)), due) => {
                self.holds(false, format_args!("the error {error:?} where {due:?} was due"));
            }
            (Some(Ok(frame)), due) => {
                let same = match due {
                    Some(Step::Data(data)) => frame.data_ref() == Some(data),
                    Some(Step::Trailers(fields)) => frame.trailers_ref() == Some(fields),
                    _ => false,
                };
                self.holds(same, format_args!("the frame {frame:?} where {due:?} was due"));
            }
        }
        false
    }

    /// Reads a body that the layer may change: trailers and errors arrive all the same.
    pub(super) async fn reads_to_its_end(mut self, script: &[Step]) {
        let mut last = None;
        loop {
            let (body, probe) = (&mut self.body, &self.probe);
            let frame: Frames = settle_poll(CLAUSE, "a frame", |cx| {
                let polled = Pin::new(&mut *body).poll_frame(cx);
                if polled.is_pending() && probe.next_step() == Some(Step::Wait) {
                    probe.release();
                }
                polled
            })
            .await;
            self.holds(self.probe.polls_after_end() == 0, "the inner body is polled after its end");
            match frame {
                Some(Ok(frame)) => last = Some(frame),
                ended => {
                    let Some(due) = script.last() else { return };
                    return self.ended_as(ended, last, due);
                }
            }
        }
    }

    fn ended_as(&self, ended: Frames, last: Option<Frame<bytes::Bytes>>, due: &Step) {
        let error = ended.and_then(Result::err);
        match due {
            Step::Error(text) => match error {
                None => self.holds(false, "an error becomes a clean end"),
                Some(error) => {
                    self.holds(says(&*error, text), format_args!("{text:?} became {error:?}"));
                }
            },
            _ => self.holds(error.is_none(), format_args!("a whole body ends with {error:?}")),
        }
        if let Step::Trailers(fields) = due {
            let same = last.is_some_and(|frame| frame.trailers_ref() == Some(fields));
            self.holds(same, "the trailers are lost");
        }
    }
}

/// Whether an error or one of its causes says this.
fn says(error: &(dyn std::error::Error + 'static), text: &str) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.to_string().contains(text) {
            return true;
        }
        next = error.source();
    }
    false
}
