//! `DecodeBody`: content with its codings taken off.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Exchange, coding};

use super::{DecodeError, Unpacker};

/// Decoded bytes in one frame, at most.
const FRAME: usize = 16 * 1024;

/// Calls of decoders in one poll: then others have their turn.
pub(super) const STEPS: usize = 16;

pin_project! {
    /// Content as it came, or with its codings taken off.
    ///
    /// Decoding ends with an error where the content is malformed, breaks off or goes beyond the
    /// limits: the response is then broken off. It is a [`ProxyError`](proxy_core::ProxyError) of
    /// the kind `http_response_content_coding`, with the [`DecodeError`] as its source.
    pub struct DecodeBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Plain { #[pin] body: B },
        Decoded { decoding: Box<Decoding<B>> },
        Empty,
    }
}

/// Everything that decoding needs.
pub(super) struct Decoding<B> {
    pub(super) body: Pin<Box<B>>,
    pub(super) unpacker: Unpacker,
    /// What was decoded before the head was sent.
    pub(super) first: Vec<u8>,
    /// Coded content that is to be decoded before what the body gives; the first one first.
    pub(super) kept: std::vec::IntoIter<Bytes>,
    pub(super) input: Bytes,
    pub(super) then: Then,
    pub(super) exchange: Option<Exchange>,
}

/// What comes when the input is decoded.
pub(super) enum Then {
    Read,
    /// The content is over, what was in it may not all be out.
    Drain(Option<HeaderMap>),
    /// It has broken off: what was there before still goes out.
    Break(BoxError),
    Trailers(HeaderMap),
    End,
}

impl Then {
    /// What a frame, the end or a failure of the body leads to; or more content.
    pub(super) fn of<E: Into<BoxError>>(
        read: Option<Result<Frame<Bytes>, E>>,
    ) -> Result<Bytes, Self> {
        match read {
            None => Err(Self::Drain(None)),
            Some(Err(error)) => Err(Self::Break(error.into())),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Ok(data),
                Err(frame) => match frame.into_trailers() {
                    Ok(mut trailers) => {
                        coding::remove_digests(&mut trailers);
                        Err(Self::Drain(Some(trailers).filter(|left| !left.is_empty())))
                    }
                    Err(_) => Ok(Bytes::new()),
                },
            },
        }
    }
}

impl<B> DecodeBody<B> {
    pub(super) const fn plain(body: B) -> Self {
        Self { kind: Kind::Plain { body } }
    }

    /// The content behind, where it passes as it came.
    ///
    /// # Errors
    /// This body, where it does not.
    pub fn into_inner(self) -> Result<B, Self> {
        match self {
            Self { kind: Kind::Plain { body } } => Ok(body),
            other => Err(other),
        }
    }

    pub(super) fn decoded(decoding: Decoding<B>) -> Self {
        Self { kind: Kind::Decoded { decoding: Box::new(decoding) } }
    }

    pub(super) const fn empty() -> Self {
        Self { kind: Kind::Empty }
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl<B> Body for DecodeBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match self.project().kind.project() {
            KindProj::Plain { body } => body.poll_frame(cx).map_err(Into::into),
            KindProj::Decoded { decoding } => decoding.poll_frame(cx),
            KindProj::Empty => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Plain { body } => body.is_end_stream(),
            Kind::Decoded { decoding } => matches!(decoding.then, Then::End),
            Kind::Empty => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Plain { body } => body.size_hint(),
            Kind::Decoded { .. } => SizeHint::default(),
            Kind::Empty => SizeHint::with_exact(0),
        }
    }
}

impl<B> Decoding<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        if !self.first.is_empty() {
            let first = Bytes::from(std::mem::take(&mut self.first));
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        loop {
            match std::mem::replace(&mut self.then, Then::Read) {
                Then::Trailers(trailers) => {
                    self.then = Then::End;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Then::End => {
                    self.then = Then::End;
                    return Poll::Ready(None);
                }
                then => self.then = then,
            }
            match self.step(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(error)) => return self.fail(&error),
            }
            if let Some(kept) = self.kept.next() {
                self.input = kept;
                continue;
            }
            match std::mem::replace(&mut self.then, Then::Read) {
                Then::Drain(trailers) => {
                    if !self.unpacker.is_ended() {
                        return self.fail(&DecodeError::Truncated);
                    }
                    self.then = trailers.map_or(Then::End, Then::Trailers);
                    continue;
                }
                Then::Break(error) => {
                    self.then = Then::End;
                    return Poll::Ready(Some(Err(error)));
                }
                _ => {}
            }
            match Then::of(ready!(self.body.as_mut().poll_frame(cx))) {
                Ok(data) => self.input = data,
                Err(then) => self.then = then,
            }
        }
    }

    /// Breaks the content off.
    fn fail(&mut self, error: &DecodeError) -> Polled {
        self.then = Then::End;
        error.record(self.exchange.as_ref());
        Poll::Ready(Some(Err(error.clone().into_proxy_error().into())))
    }

    /// Decodes what is there; `None` where more is needed.
    fn step(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Bytes>, DecodeError>> {
        let mut out = Vec::with_capacity(FRAME);
        for _ in 0..STEPS {
            let used = self.unpacker.decode(&self.input, &mut out)?;
            self.input.advance(used);
            let stuck = self.unpacker.wants_input();
            if stuck && !self.input.is_empty() && out.is_empty() {
                // It neither takes nor gives: no coding does that with sane content.
                return Poll::Ready(Err(DecodeError::Truncated));
            }
            if stuck || out.len() == out.capacity() {
                return Poll::Ready(Ok((!out.is_empty()).then(|| Bytes::from(out))));
            }
        }
        if !out.is_empty() {
            return Poll::Ready(Ok(Some(Bytes::from(out))));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<B> std::fmt::Debug for DecodeBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let decodes = matches!(self.kind, Kind::Decoded { .. });
        f.debug_struct("DecodeBody").field("decodes", &decodes).finish_non_exhaustive()
    }
}
