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

mod poison;
mod probe;

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

use crate::contract::Clause;
use crate::lock;
pub use poison::PoisonBody;
pub use probe::BodyProbe;

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
            Clause::Bodies.broken("a body was polled after its end");
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
        SizeHint::with_exact(
            self.steps
                .iter()
                .map(|step| match step {
                    Step::Data(data) => data.len() as u64,
                    _ => 0,
                })
                .sum(),
        )
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut script = lock(&self.0);
        script.dropped = true;
        script.waker = None;
    }
}

#[cfg(test)]
mod tests;
