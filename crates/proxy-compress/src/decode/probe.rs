//! A look at the beginning of coded content before the head of its response goes out: what proves
//! to be a bomb, or no coded content at all, is answered with an error and a reason instead of being
//! broken off later.
//!
//! As a rule the first piece of the content ends it, and goes out with the head. As long as content
//! grows beyond the ratio that is allowed, the look goes on, up to the bytes of grace: what was decoded
//! is thrown away, and what it was decoded from, which is little, is kept and decoded once more.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::response::Parts;
use http_body::Body;
use proxy_core::{BoxError, Exchange};

use super::body::{Decoding, STEPS, Then};
use super::{DecodeError, DecodeLimits, Unpacker};

/// Decoded bytes after which the content is judged, or before where it ends or pauses. They go out
/// with the head.
const FIRST: usize = 64 * 1024;

pub(super) struct Probe<B> {
    parts: Parts,
    body: Pin<Box<B>>,
    unpacker: Unpacker,
    limits: DecodeLimits,
    input: Bytes,
    out: Vec<u8>,
    /// What was decoded has been thrown away: it is to be decoded again, from what is kept.
    again: bool,
    kept: Vec<Bytes>,
    then: Then,
    exchange: Option<Exchange>,
}

/// What a probe has found: a response that can be sent, or why it can not.
pub(super) type Probed<B> = Result<(Parts, Decoding<B>), DecodeError>;

impl<B> Probe<B>
where
    B: Body<Data = Bytes>,
{
    /// Of a response that still has the fields of its coded form.
    pub(super) fn new(
        parts: Parts,
        body: B,
        unpacker: Unpacker,
        limits: DecodeLimits,
        exchange: Option<Exchange>,
    ) -> Self {
        Self {
            parts,
            body: Box::pin(body),
            unpacker,
            limits,
            input: Bytes::new(),
            out: Vec::with_capacity(FIRST),
            again: false,
            kept: Vec::new(),
            then: Then::Read,
            exchange,
        }
    }

    /// The response without a look.
    pub(super) fn skip(self) -> Probed<B> {
        self.found()
    }

    /// Whether the content has grown beyond what is allowed, if it goes on like this.
    fn is_suspicious(&self) -> bool {
        self.unpacker.given() > self.unpacker.taken().saturating_mul(self.limits.ratio.into())
    }

    fn found(self) -> Probed<B> {
        let Self { parts, body, mut unpacker, limits, input, out, again, kept, then, exchange } =
            self;
        let (first, kept, input) = if again {
            if let Some(new) = Unpacker::new(&parts.headers, limits)? {
                unpacker = new;
            }
            // The input is what is left of the last that is kept.
            (Vec::new(), kept, Bytes::new())
        } else {
            (out, Vec::new(), input)
        };
        let kept = kept.into_iter();
        let decoding = Decoding { body, unpacker, first, kept, input, then, exchange };
        Ok((parts, decoding))
    }

    /// Looks on.
    pub(super) fn poll(probe: &mut Option<Box<Self>>, cx: &mut Context<'_>) -> Poll<Probed<B>>
    where
        B::Error: Into<BoxError>,
    {
        let this = probe.as_mut().expect("polled after completion");
        match this.look(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                let this = probe.take().expect("polled after completion");
                Poll::Ready(this.found())
            }
        }
    }

    /// Ready where there is nothing more to find out.
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DecodeError>>
    where
        B::Error: Into<BoxError>,
    {
        for _ in 0..STEPS {
            if self.out.len() == self.out.capacity() {
                if !self.is_suspicious() {
                    return Poll::Ready(Ok(()));
                }
                self.out.clear();
                self.again = true;
            }
            let used = self.unpacker.decode(&self.input, &mut self.out)?;
            self.input.advance(used);
            if !self.unpacker.wants_input() {
                continue;
            }
            if !self.input.is_empty() {
                return Poll::Ready(Err(DecodeError::Truncated));
            }
            match &self.then {
                Then::Read => {}
                Then::Drain(_) if !self.unpacker.is_ended() => {
                    return Poll::Ready(Err(DecodeError::Truncated));
                }
                _ => return Poll::Ready(Ok(())),
            }
            let given = self.unpacker.given();
            match self.body.as_mut().poll_frame(cx) {
                Poll::Pending if given > 0 && (!self.again || !self.is_suspicious()) => {
                    // Streams have their turn.
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(read) => match Then::of(read) {
                    Ok(data) => {
                        self.kept.push(data.clone());
                        self.input = data;
                        if given > 0 && !self.is_suspicious() {
                            return Poll::Ready(Ok(()));
                        }
                    }
                    Err(then) => self.then = then,
                },
            }
        }
        // Others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
