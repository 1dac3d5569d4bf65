//! Content of a request that is held, and reading it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use proxy_core::{Body, BoxError};

use super::files::{Pending, Spill};

/// What is held, in its order.
pub(super) struct Content {
    pub(super) spill: Spill,
    /// What came after what is in the file.
    pub(super) memory: Bytes,
    pub(super) trailers: Option<HeaderMap>,
}

impl Content {
    fn len(&self) -> u64 {
        self.spill.len() + self.memory.len() as u64
    }
}

/// All of the content of a request, in memory and in a file: it may be read as often as is needed.
/// Rides in the extensions of the request, for those who [send it again](crate::retry).
#[derive(Clone)]
pub(crate) struct Stored(Arc<Content>);

impl Stored {
    pub(super) fn new(content: Content) -> Self {
        Self(Arc::new(content))
    }

    /// The content from its beginning.
    pub(crate) fn body(&self) -> Body {
        Body::new(Reader::new(Arc::clone(&self.0), Body::empty()))
    }

    /// The same, which tells when the last of it was given.
    pub(crate) fn body_telling(&self, taken: Arc<AtomicBool>) -> Body {
        let reader = Reader::new(Arc::clone(&self.0), Body::empty());
        Body::new(Reader { taken: Some(taken), ..reader })
    }
}

/// What is held, and then the rest as it comes.
pub(super) fn chained(content: Content, rest: Body) -> Body {
    Body::new(Reader::new(Arc::new(content), rest))
}

struct Reader {
    content: Arc<Content>,
    /// The next piece.
    at: At,
    rest: Body,
    /// Whether all that is held was given.
    taken: Option<Arc<AtomicBool>>,
}

enum At {
    Spill { at: u64, reading: Option<Pending<Bytes>> },
    Memory,
    Trailers,
    Rest,
}

impl Reader {
    fn new(content: Arc<Content>, rest: Body) -> Self {
        Self { content, at: At::Spill { at: 0, reading: None }, rest, taken: None }
    }

    /// Bytes that are held and were not given.
    fn left(&self) -> u64 {
        let content = &self.content;
        match &self.at {
            At::Spill { at, .. } => content.len() - at,
            At::Memory => content.memory.len() as u64,
            At::Trailers | At::Rest => 0,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { content, at: place, rest, .. } = self;
        let data = |bytes: Bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        loop {
            match place {
                At::Spill { at, .. } if *at >= content.spill.len() => *place = At::Memory,
                At::Spill { at, reading } => {
                    if reading.is_none() {
                        *reading = content.spill.read(*at);
                    }
                    let Some(pending) = reading else {
                        *place = At::Memory;
                        continue;
                    };
                    let read = ready!(Pin::new(pending).poll(cx));
                    *reading = None;
                    return match read {
                        Ok(Ok(chunk)) => {
                            *at += chunk.len() as u64;
                            data(chunk)
                        }
                        Ok(Err(error)) => Poll::Ready(Some(Err(error.into()))),
                        Err(closed) => Poll::Ready(Some(Err(closed.into()))),
                    };
                }
                At::Memory => {
                    *place = At::Trailers;
                    if !content.memory.is_empty() {
                        return data(content.memory.clone());
                    }
                }
                At::Trailers => {
                    *place = At::Rest;
                    if let Some(trailers) = content.trailers.clone() {
                        return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                    }
                }
                At::Rest => return Pin::new(rest).poll_frame(cx),
            }
        }
    }
}

impl HttpBody for Reader {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.poll_next(cx));
        if self.left() == 0
            && let Some(taken) = self.taken.take()
        {
            taken.store(true, Ordering::Release);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let trailers_given = matches!(self.at, At::Rest) || self.content.trailers.is_none();
        self.left() == 0 && trailers_given && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (left, mut hint) = (self.left(), self.rest.size_hint());
        if self.content.trailers.is_some() {
            // With a length there is no place for them in HTTP/1.1.
            hint = SizeHint::new();
        }
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(left));
        }
        hint.set_lower(hint.lower().saturating_add(left));
        hint
    }
}
