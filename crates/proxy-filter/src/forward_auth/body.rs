//! `ForwardAuthBody`: content whose trailer fields say nothing that only the other service may say.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::ForwardAuth;

pin_project! {
    /// The content of a request below [`ForwardAuthLayer`](super::ForwardAuthLayer).
    pub struct ForwardAuthBody<B> {
        #[pin]
        inner: B,
        asks: Option<Arc<ForwardAuth>>,
    }
}

impl<B> ForwardAuthBody<B> {
    /// Nobody was asked about the request.
    pub(super) const fn unasked(inner: B) -> Self {
        Self { inner, asks: None }
    }

    pub(super) fn asked(inner: B, asks: &Arc<ForwardAuth>) -> Self {
        let asks = asks.owns_names().then(|| Arc::clone(asks));
        Self { inner, asks }
    }
}

impl<B> Body for ForwardAuthBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let mut frame = ready!(this.inner.poll_frame(cx));
        if let (Some(asks), Some(Ok(frame))) = (this.asks, &mut frame)
            && let Some(trailers) = frame.trailers_mut()
        {
            asks.disbelieve(trailers);
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

impl<B: fmt::Debug> fmt::Debug for ForwardAuthBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardAuthBody").field("inner", &self.inner).finish_non_exhaustive()
    }
}
