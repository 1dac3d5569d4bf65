//! `InputBody`: a request's content on its way to the inner service.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use proxy_core::BoxError;

use super::content::Check;
use super::fault::Answer;
use super::record::Record;

pin_project! {
    /// The client's content, judged as it passes, or what was held of it for a schema.
    #[derive(Debug)]
    pub struct InputBody<B> {
        #[pin]
        content: Content<B>,
        watch: Option<Box<Watch>>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = ContentProj]
    enum Content<B> {
        Streamed { #[pin] body: B },
        Held { held: Option<Box<Held>> },
    }
}

/// Content that was read.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) content: Bytes,
    pub(super) trailers: Option<HeaderMap>,
}

/// What is looked for, and where the answer to a fault is left.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) check: Check,
    pub(super) record: Record,
    pub(super) answer: Answer,
}

impl Watch {
    /// Judges a frame, or the end; whether anything is still to be judged. What is only reported
    /// passes, and what follows with it.
    fn judge(
        &mut self,
        frame: Option<&Frame<Bytes>>,
        is_last: impl FnOnce() -> bool,
    ) -> Result<bool, BoxError> {
        let (read, is_last) = match frame {
            Some(frame) => {
                let read = frame.data_ref().map_or(Ok(()), |data| self.check.read(data));
                (read, frame.is_trailers() || is_last())
            }
            None => (Ok(()), true),
        };
        let judged = if is_last { read.and_then(|()| self.check.end()) } else { read };
        match judged {
            Ok(()) => Ok(!is_last),
            Err(fault) => match self.record.fault(fault, true) {
                None => Ok(false),
                Some(refusal) => {
                    self.answer.leave(refusal);
                    Err(fault.error())
                }
            },
        }
    }
}

impl<B> InputBody<B> {
    pub(super) const fn streamed(body: B, watch: Option<Box<Watch>>) -> Self {
        Self { content: Content::Streamed { body }, watch }
    }

    pub(super) fn held(held: Held) -> Self {
        let held = (!held.content.is_empty() || held.trailers.is_some()).then(|| Box::new(held));
        Self { content: Content::Held { held }, watch: None }
    }
}

impl<B> Body for InputBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let mut body = match this.content.project() {
            ContentProj::Held { held } => return Poll::Ready(take(held)),
            ContentProj::Streamed { body } => body,
        };
        let frame = ready!(body.as_mut().poll_frame(cx));
        let frame = frame.map(|frame| frame.map_err(Into::into));
        let Some(watch) = this.watch else { return Poll::Ready(frame) };
        // What a framer says to be the last piece is judged before it goes on.
        let judged = match &frame {
            Some(Err(_)) => Ok(false),
            Some(Ok(frame)) => watch.judge(Some(frame), || body.is_end_stream()),
            None => watch.judge(None, || true),
        };
        if !matches!(judged, Ok(true)) {
            *this.watch = None;
        }
        Poll::Ready(match judged {
            Ok(_) => frame,
            Err(error) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Streamed { body } => body.is_end_stream(),
            Content::Held { held } => held.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Streamed { body } => body.size_hint(),
            Content::Held { held } => {
                SizeHint::with_exact(held.as_ref().map_or(0, |held| held.content.len() as u64))
            }
        }
    }
}

fn take(slot: &mut Option<Box<Held>>) -> Option<Result<Frame<Bytes>, BoxError>> {
    let held = slot.as_mut()?;
    if !held.content.is_empty() {
        let content = std::mem::take(&mut held.content);
        if held.trailers.is_none() {
            *slot = None;
        }
        return Some(Ok(Frame::data(content)));
    }
    let trailers = slot.take()?.trailers?;
    Some(Ok(Frame::trailers(trailers)))
}
