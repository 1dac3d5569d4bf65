//! Bodies: `Body`, the erased one of the three seams, and `Reply`, a layer's own answer or the
//! body it passes on.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use crate::error::BoxError;

type Erased = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>;

/// Message content of any origin, at most once in a box.
///
/// It knows when it is empty or fully buffered, so that framing stays exact: an empty body gives
/// `Content-Length: 0` and never a chunked nothing.
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    #[cfg(feature = "hyper")]
    Incoming(hyper::body::Incoming),
    Boxed(Erased),
}

impl Body {
    /// No content.
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// Content held in memory.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::empty() } else { Self(Kind::Full(bytes)) }
    }

    /// Any body. A `Body` comes back as it was: nothing is boxed twice.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut slot = Some(body);
        if let Some(same) = (&mut slot as &mut dyn std::any::Any).downcast_mut::<Option<Self>>() {
            return same.take().unwrap_or_default();
        }
        match slot {
            Some(body) if body.is_end_stream() => Self::empty(),
            Some(body) => Self(Kind::Boxed(Box::pin(IntoBoxError { body }))),
            None => Self::empty(),
        }
    }

    /// True where nothing will come: no data and no trailers.
    pub fn is_empty(&self) -> bool {
        http_body::Body::is_end_stream(self)
    }

    /// The content, where it is wholly in memory.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Kind::Full(bytes) => Some(bytes),
            _ => None,
        }
    }
}

#[cfg(feature = "hyper")]
impl From<hyper::body::Incoming> for Body {
    fn from(body: hyper::body::Incoming) -> Self {
        if http_body::Body::is_end_stream(&body) {
            Self::empty()
        } else {
            Self(Kind::Incoming(body))
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Empty => "Body(empty)",
            Kind::Full(_) => "Body(full)",
            #[cfg(feature = "hyper")]
            Kind::Incoming(_) => "Body(incoming)",
            Kind::Boxed(_) => "Body(boxed)",
        })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            #[cfg(feature = "hyper")]
            Kind::Incoming(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|f| f.map_err(Into::into)))
            }
            Kind::Boxed(body) => {
                let frame = ready!(body.as_mut().poll_frame(cx));
                // Fused: a body is never polled again once it has ended.
                if matches!(frame, None | Some(Err(_))) {
                    self.0 = Kind::Empty;
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(_) => false,
            #[cfg(feature = "hyper")]
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            #[cfg(feature = "hyper")]
            Kind::Incoming(body) => body.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

pin_project! {
    struct IntoBoxError<B> {
        #[pin]
        body: B,
    }
}

impl<B> http_body::Body for IntoBoxError<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().body.poll_frame(cx).map(|f| f.map(|f| f.map_err(Into::into)))
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// A response body: the inner service's, or one that a layer made instead.
    #[project = ReplyProj]
    #[derive(Debug)]
    #[allow(missing_docs, reason = "the macro takes no docs on variants' fields")]
    pub enum Reply<B> {
        /// The inner service's body.
        Inner {
            #[pin]
            body: B,
        },
        /// Content made by the layer.
        Made {
            #[pin]
            body: Full<Bytes>,
        },
    }
}

impl<B> Reply<B> {
    /// The inner service's body.
    pub const fn inner(body: B) -> Self {
        Self::Inner { body }
    }

    /// Content made here.
    pub fn made(content: impl Into<Bytes>) -> Self {
        Self::Made { body: Full::new(content.into()) }
    }
}

impl<B> http_body::Body for Reply<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            ReplyProj::Inner { body } => {
                body.poll_frame(cx).map(|f| f.map(|f| f.map_err(Into::into)))
            }
            ReplyProj::Made { body } => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Inner { body } => body.is_end_stream(),
            Self::Made { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Inner { body } => body.size_hint(),
            Self::Made { body } => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;

    #[test]
    fn a_body_is_never_boxed_twice() {
        let once = Body::new(http_body_util::StreamBody::new(Never));
        assert!(matches!(once.0, Kind::Boxed(_)));
        let twice = Body::new(Body::full("x"));
        assert!(matches!(twice.0, Kind::Full(_)));
    }

    #[test]
    fn an_ended_body_is_empty() {
        assert!(Body::new(Full::new(Bytes::new())).is_empty());
        assert_eq!(Body::full("abc").size_hint().exact(), Some(3));
    }

    struct Never;
    impl futures_core_stream::Stream for Never {
        type Item = Result<Frame<Bytes>, BoxError>;
        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Pending
        }
    }
    use futures_util::stream as futures_core_stream;
}
