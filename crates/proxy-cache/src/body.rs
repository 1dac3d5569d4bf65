//! `CacheBody`: the inner service's content, or stored content.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use proxy_core::BoxError;

type Boxed = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

pin_project! {
    /// The body of a response that went through a [`Cache`](crate::Cache).
    pub struct CacheBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Inner { #[pin] body: B },
        /// Stored content in memory: chunks shared with the store.
        Chunks { chunks: Arc<[Bytes]>, next: usize, left: u64 },
        /// At most one chunk.
        Full { content: Bytes },
        Boxed { body: Boxed },
    }
}

impl<B> CacheBody<B> {
    /// The inner service's content.
    pub(crate) const fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    /// Content in memory.
    pub(crate) fn full(content: Bytes) -> Self {
        Self { kind: Kind::Full { content } }
    }

    /// No content.
    pub(crate) fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// All of these chunks, `len` bytes in all.
    pub(crate) fn chunks(chunks: Arc<[Bytes]>, len: u64) -> Self {
        match &*chunks {
            [] => Self::empty(),
            [only] => Self::full(only.clone()),
            _ => Self { kind: Kind::Chunks { chunks, next: 0, left: len } },
        }
    }

    /// Any other content.
    pub(crate) fn boxed<C>(body: C) -> Self
    where
        C: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        Self { kind: Kind::Boxed { body: Box::pin(body) } }
    }
}

impl<B> Body for CacheBody<B>
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
        match self.project().kind.project() {
            KindProj::Inner { body } => {
                body.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            KindProj::Chunks { chunks, next, left } => {
                let chunk = chunks.get(*next).cloned();
                *next += 1;
                if let Some(chunk) = &chunk {
                    *left -= chunk.len() as u64;
                }
                Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
            }
            KindProj::Full { content } => {
                let content = std::mem::take(content);
                Poll::Ready((!content.is_empty()).then(|| Ok(Frame::data(content))))
            }
            KindProj::Boxed { body } => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Chunks { chunks, next, .. } => *next >= chunks.len(),
            Kind::Full { content } => content.is_empty(),
            Kind::Boxed { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Chunks { left, .. } => SizeHint::with_exact(*left),
            Kind::Full { content } => SizeHint::with_exact(content.len() as u64),
            Kind::Boxed { body } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for CacheBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBody").finish_non_exhaustive()
    }
}
