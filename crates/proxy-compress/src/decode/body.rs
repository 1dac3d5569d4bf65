//! `DecodeBody`: content with its codings taken off.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use proxy_core::{BoxError, coding};

use super::{DecodeError, Unpacker};

/// Decoded bytes in one frame, at most.
const FRAME: usize = 16 * 1024;

/// Calls of decoders in one poll: then others have their turn.
const STEPS: usize = 16;

pin_project! {
    /// Content as it came, or with its codings taken off.
    ///
    /// Decoding ends with an error ([`DecodeError`]) where the content is malformed, breaks off or
    /// goes beyond the limits: the response is then broken off.
    pub struct DecodeBody<B> {
        #[pin]
        body: B,
        decoding: Option<Box<Decoding>>,
    }
}

struct Decoding {
    unpacker: Unpacker,
    input: Bytes,
    /// What comes after the last byte.
    then: Then,
}

enum Then {
    Read,
    /// The content is over, what was in it may not all be out.
    Drain(Option<HeaderMap>),
    Trailers(HeaderMap),
    End,
}

impl<B> DecodeBody<B> {
    pub(super) const fn plain(body: B) -> Self {
        Self { body, decoding: None }
    }

    pub(super) fn decoded(body: B, unpacker: Unpacker) -> Self {
        let decoding = Decoding { unpacker, input: Bytes::new(), then: Then::Read };
        Self { body, decoding: Some(Box::new(decoding)) }
    }
}

impl<B> Body for DecodeBody<B>
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
        let Some(decoding) = this.decoding.as_deref_mut() else {
            return this.body.poll_frame(cx).map_err(Into::into);
        };
        loop {
            match &mut decoding.then {
                Then::Trailers(trailers) => {
                    let trailers = std::mem::take(trailers);
                    decoding.then = Then::End;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Then::End => return Poll::Ready(None),
                Then::Read | Then::Drain(_) => {}
            }
            match decoding.step(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(error)) => {
                    decoding.then = Then::End;
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
            if let Then::Drain(trailers) = &mut decoding.then {
                let trailers = trailers.take();
                if !decoding.unpacker.is_ended() {
                    decoding.then = Then::End;
                    return Poll::Ready(Some(Err(DecodeError::Truncated.into())));
                }
                decoding.then = trailers.map_or(Then::End, Then::Trailers);
                continue;
            }
            match ready!(this.body.as_mut().poll_frame(cx)) {
                None => decoding.then = Then::Drain(None),
                Some(Err(error)) => {
                    decoding.then = Then::End;
                    return Poll::Ready(Some(Err(error.into())));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => decoding.input = data,
                    Err(frame) => {
                        if let Ok(mut trailers) = frame.into_trailers() {
                            coding::remove_digests(&mut trailers);
                            decoding.then = Then::Drain(Some(trailers));
                        }
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.decoding {
            None => self.body.is_end_stream(),
            Some(decoding) => matches!(decoding.then, Then::End),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.decoding {
            None => self.body.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

impl Decoding {
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
        f.debug_struct("DecodeBody")
            .field("decodes", &self.decoding.is_some())
            .finish_non_exhaustive()
    }
}
