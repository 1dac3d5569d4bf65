//! `MirrorBody`: content that is copied while it passes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::copy::Copy;
use super::meters::Outcome;

pin_project! {
    /// The content of a request below [`MirrorLayer`](super::MirrorLayer).
    pub struct MirrorBody<B> {
        #[pin]
        inner: B,
        copying: Copying,
    }
}

/// The copy, while the request has not passed.
#[derive(Default)]
struct Copying(Option<Box<Copy>>);

impl Drop for Copying {
    fn drop(&mut self) {
        if let Some(copy) = self.0.take() {
            copy.give_up(Outcome::Incomplete);
        }
    }
}

impl Copying {
    fn end(&mut self) {
        if let Some(copy) = self.0.take() {
            copy.send();
        }
    }

    /// Whether all content that was announced is there.
    fn is_whole(&self) -> bool {
        self.0.as_ref().is_some_and(|copy| copy.is_whole())
    }

    fn read(&mut self, data: &[u8]) {
        if self.0.as_mut().is_some_and(|copy| !copy.extend(data))
            && let Some(copy) = self.0.take()
        {
            copy.give_up(Outcome::TooLarge);
        }
    }
}

impl<B: Body> MirrorBody<B> {
    pub(super) fn new(inner: B, copy: Option<Copy>) -> Self {
        let mut copying = Copying(copy.map(Box::new));
        if inner.is_end_stream() || copying.is_whole() {
            copying.end();
        }
        Self { inner, copying }
    }
}

impl<B> Body for MirrorBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if this.copying.0.is_some() {
            match &frame {
                None => this.copying.end(),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        this.copying.read(data);
                    }
                    // Whoever knows the length, or has the trailers, may not ask again.
                    let last = frame.is_trailers() || this.inner.is_end_stream();
                    if last || this.copying.is_whole() {
                        this.copying.end();
                    }
                }
                Some(Err(_)) => *this.copying = Copying::default(),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: std::fmt::Debug> std::fmt::Debug for MirrorBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorBody").field("inner", &self.inner).finish_non_exhaustive()
    }
}
