//! `InspectBody`: a request's content on its way through the inspection.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use proxy_core::BoxError;

use super::watch::Watch;

pin_project! {
    /// The content of a request that went through an [`Inspect`](super::Inspect).
    pub struct InspectBody<B> {
        #[pin]
        body: Content<B>,
        watch: Option<Box<Watch>>,
    }
}

pin_project! {
    #[project = ContentProj]
    enum Content<B> {
        Here { #[pin] body: B },
        // Read before it went on, so it can not move any more.
        Boxed { body: Pin<Box<B>> },
    }
}

impl<B> InspectBody<B> {
    /// Content that is not looked at.
    pub(in crate::inspect) const fn unseen(body: B) -> Self {
        Self { body: Content::Here { body }, watch: None }
    }

    /// Content that is judged as it passes.
    pub(in crate::inspect) fn watched(body: B, watch: Box<Watch>) -> Self {
        Self { body: Content::Here { body }, watch: Some(watch) }
    }

    /// The same, some of which was read already.
    pub(in crate::inspect) const fn begun(body: Pin<Box<B>>, watch: Box<Watch>) -> Self {
        Self { body: Content::Boxed { body }, watch: Some(watch) }
    }
}

impl<B> Body for InspectBody<B>
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
        let body = match this.body.project() {
            ContentProj::Here { body } => body,
            ContentProj::Boxed { body } => body.as_mut(),
        };
        match this.watch {
            Some(watch) => watch.poll_frame(body, cx),
            None => body.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        let body = self.body.get();
        self.watch.as_ref().map_or_else(|| body.is_end_stream(), |w| w.is_end_stream(body))
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.get();
        self.watch.as_ref().map_or_else(|| body.size_hint(), |w| w.size_hint(body))
    }
}

impl<B> Content<B> {
    fn get(&self) -> &B {
        match self {
            Self::Here { body } => body,
            Self::Boxed { body } => body,
        }
    }
}

impl<B> fmt::Debug for InspectBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InspectBody")
            .field("watched", &self.watch.is_some())
            .finish_non_exhaustive()
    }
}
