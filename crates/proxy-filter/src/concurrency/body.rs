//! `ConcurrencyBody`: content that holds a place until it ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Reply};

use super::metrics::Counted;
use super::places::Place;

/// A place, and its count.
#[derive(Debug)]
pub(super) struct Held {
    // The place goes to the next one before it is taken off the count of this one.
    pub(super) _place: Place,
    pub(super) _counted: Counted,
}

pin_project! {
    /// The inner service's content, or the layer's own. Its place is given back when it has ended,
    /// failed, or is dropped.
    #[derive(Debug)]
    pub struct ConcurrencyBody<B> {
        #[pin]
        body: Reply<B>,
        held: Option<Box<Held>>,
    }
}

impl<B> ConcurrencyBody<B> {
    pub(super) const fn new(body: Reply<B>, held: Option<Box<Held>>) -> Self {
        Self { body, held }
    }
}

impl<B> Body for ConcurrencyBody<B>
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
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || this.body.is_end_stream() {
            *this.held = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
