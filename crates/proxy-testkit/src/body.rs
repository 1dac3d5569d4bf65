//! `ScriptedBody`: message content that comes step by step and watches how it is read.
//!
//! ```
//! use http_body_util::BodyExt;
//! use proxy_testkit::{ScriptedBody, Step};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let body = ScriptedBody::new([Step::data("hello "), Step::Yield, Step::data("world")]);
//! let probe = body.probe();
//! assert_eq!(body.collect().await.unwrap().to_bytes(), "hello world");
//! assert!(probe.is_ended() && probe.is_dropped());
//! # }
//! ```

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::marker::{PhantomData, PhantomPinned};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::lock;

/// One step of a [`ScriptedBody`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A data frame.
    Data(Bytes),
    /// A trailer section.
    Trailers(HeaderMap),
    /// The content breaks here.
    Error(&'static str),
    /// Pending once; wakes at once.
    Yield,
    /// Pending until [`BodyProbe::release`].
    Wait,
    /// Pending for ever; wakes nobody.
    Never,
}

impl Step {
    /// A data frame of this text.
    pub const fn data(text: &'static str) -> Self {
        Self::Data(Bytes::from_static(text.as_bytes()))
    }

    /// A trailer section of one field.
    pub fn trailer(name: &'static str, value: &'static str) -> Self {
        let mut fields = HeaderMap::new();
        fields.insert(name, HeaderValue::from_static(value));
        Self::Trailers(fields)
    }
}

/// The error of a [`Step::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptError(pub &'static str);

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ScriptError {}

pin_project! {
    /// Message content that follows a script.
    ///
    /// It is neither `Unpin` nor `Sync`, as bodies in the wild may be, and it panics where it is
    /// polled after its end: after `None` or an error.
    pub struct ScriptedBody {
        script: Guard,
        #[pin]
        pinned: PhantomPinned,
        alone: PhantomData<Cell<()>>,
    }
}

/// Notes the drop of its body.
struct Guard(Arc<Mutex<Script>>);

struct Script {
    steps: VecDeque<Step>,
    exact: bool,
    knows_its_end: bool,
    polls: usize,
    waiting: bool,
    releases: usize,
    ended: bool,
    polls_after_end: usize,
    dropped: bool,
    waker: Option<Waker>,
}

impl ScriptedBody {
    /// Content of unknown size that knows when its last step is taken.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let script = Script {
            steps: steps.into_iter().collect(),
            exact: false,
            knows_its_end: true,
            polls: 0,
            waiting: false,
            releases: 0,
            ended: false,
            polls_after_end: 0,
            dropped: false,
            waker: None,
        };
        let script = Guard(Arc::new(Mutex::new(script)));
        Self { script, pinned: PhantomPinned, alone: PhantomData }
    }

    /// No content.
    pub fn empty() -> Self {
        Self::new([])
    }

    /// The size is known beforehand.
    #[must_use]
    pub fn exact(self) -> Self {
        lock(&self.script.0).exact = true;
        self
    }

    /// The end shows only when it is polled for, as of content that ends with its connection.
    #[must_use]
    pub fn end_unknown(self) -> Self {
        lock(&self.script.0).knows_its_end = false;
        self
    }

    /// The view from outside; it outlives the body.
    pub fn probe(&self) -> BodyProbe {
        BodyProbe(Arc::clone(&self.script.0))
    }
}

/// Like a request without content; layers that send requests of their own ask for it.
impl Default for ScriptedBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for ScriptedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScriptedBody").field(&lock(&self.script.0).steps).finish()
    }
}

impl http_body::Body for ScriptedBody {
    type Data = Bytes;
    type Error = ScriptError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ScriptError>>> {
        lock(&self.project().script.0).poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.script.0).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.script.0).size_hint()
    }
}

impl Script {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ScriptError>>> {
        self.polls += 1;
        if self.ended {
            self.polls_after_end += 1;
            panic!("a body was polled after its end");
        }
        self.waiting = false;
        if self.steps.front() == Some(&Step::Wait) && self.releases > 0 {
            self.releases -= 1;
            self.steps.pop_front();
        }
        match self.steps.front() {
            Some(Step::Wait) => {
                self.waker = Some(cx.waker().clone());
                self.waiting = true;
                return Poll::Pending;
            }
            Some(Step::Never) => {
                self.waiting = true;
                return Poll::Pending;
            }
            _ => {}
        }
        Poll::Ready(match self.steps.pop_front() {
            Some(Step::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Step::Trailers(fields)) => Some(Ok(Frame::trailers(fields))),
            Some(Step::Error(text)) => {
                self.ended = true;
                Some(Err(ScriptError(text)))
            }
            Some(Step::Yield | Step::Wait | Step::Never) => {
                self.waiting = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => {
                self.ended = true;
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.knows_its_end && self.steps.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        if !self.exact && !self.is_end_stream() {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.steps.iter().map(|step| match step {
            Step::Data(data) => data.len() as u64,
            _ => 0,
        }).sum())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut script = lock(&self.0);
        script.dropped = true;
        script.waker = None;
    }
}

/// What a test sees of a [`ScriptedBody`], wherever that has gone.
#[derive(Clone)]
pub struct BodyProbe(Arc<Mutex<Script>>);

impl BodyProbe {
    /// How often it was polled.
    pub fn polls(&self) -> usize {
        lock(&self.0).polls
    }

    /// How often it was polled after its end; each one also panics.
    pub fn polls_after_end(&self) -> usize {
        lock(&self.0).polls_after_end
    }

    /// Whether its last poll gave pending.
    pub fn is_waiting(&self) -> bool {
        lock(&self.0).waiting
    }

    /// Whether it gave `None` or an error.
    pub fn is_ended(&self) -> bool {
        lock(&self.0).ended
    }

    /// Whether it is gone.
    pub fn is_dropped(&self) -> bool {
        lock(&self.0).dropped
    }

    /// The step that comes next.
    pub fn next_step(&self) -> Option<Step> {
        lock(&self.0).steps.front().cloned()
    }

    /// What it says of its end now.
    pub fn is_end_stream(&self) -> bool {
        lock(&self.0).is_end_stream()
    }

    /// What it says of its size now.
    pub fn size_hint(&self) -> SizeHint {
        lock(&self.0).size_hint()
    }

    /// Ends one [`Step::Wait`], this or the next, and wakes whoever polled last.
    pub fn release(&self) {
        let waker = {
            let mut script = lock(&self.0);
            script.releases += 1;
            script.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl fmt::Debug for BodyProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let script = lock(&self.0);
        f.debug_struct("BodyProbe")
            .field("polls", &script.polls)
            .field("ended", &script.ended)
            .field("dropped", &script.dropped)
            .finish_non_exhaustive()
    }
}

/// Content that nobody may read: it panics when it is polled.
///
/// For what a layer must leave alone: the content of a request that it refuses, or of a response
/// to HEAD.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoisonBody;

impl http_body::Body for PoisonBody {
    type Data = Bytes;
    type Error = ScriptError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ScriptError>>> {
        panic!("content was read that nobody may read");
    }
}

#[cfg(test)]
mod tests {
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
}
