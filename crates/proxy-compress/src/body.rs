//! `CompressBody`: content as it came, or coded as it comes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;
use proxy_core::{BoxError, coding};

use crate::codings::Coding;
use crate::dictionary::Capture;
use crate::encoder::EncodeError;
use crate::pool::Lease;
use crate::service::Shared;

/// Coded bytes in one frame, at most.
const FRAME: usize = 16 * 1024;

/// Coded bytes that are copied out of the buffer instead of giving it away.
const SMALL: usize = 4 * 1024;

/// Content that one poll takes in, at most, in bytes: at the highest of the levels that are meant
/// for it ([`Levels::MOST_ON_THE_FLY`](crate::Levels::MOST_ON_THE_FLY)), some milliseconds.
const SLICE: usize = 64 * 1024;

/// What one call of an encoder is given, at most.
const PIECE: usize = 16 * 1024;

pin_project! {
    /// The content of a response.
    ///
    /// What is coded is flushed whenever the content behind it has nothing more to give for now, so
    /// a client sees what there is, when it is there.
    #[project = CompressBodyProj]
    #[allow(missing_docs, reason = "the macro takes no docs on variants' fields")]
    pub struct CompressBody<B> {
        #[pin]
        kind: Kind<B>,
        // Keeps the content, as it was, for a dictionary.
        capture: Option<Box<Capture>>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Plain { #[pin] body: B },
        Coded { #[pin] body: B, coded: Box<Coded> },
        Empty { body: Full<Bytes> },
    }
}

impl<B> CompressBody<B> {
    pub(crate) const fn plain(body: B) -> Self {
        Self { kind: Kind::Plain { body }, capture: None }
    }

    pub(crate) fn coded(body: B, coded: Coded) -> Self {
        Self { kind: Kind::Coded { body, coded: Box::new(coded) }, capture: None }
    }

    pub(crate) fn empty() -> Self {
        Self { kind: Kind::Empty { body: Full::default() }, capture: None }
    }

    /// Has the content kept for a dictionary as it passes by.
    pub(crate) fn capturing(mut self, capture: Option<Box<Capture>>) -> Self {
        self.capture = capture;
        self
    }
}

/// Everything that coding needs.
pub(crate) struct Coded {
    /// Goes back as soon as the content is over.
    lease: Option<Lease>,
    coding: Coding,
    has_dictionary: bool,
    shared: Arc<Shared>,
    /// Content that is not coded yet.
    input: Bytes,
    out: Vec<u8>,
    /// What was taken in since the last flush.
    dirty: bool,
    /// A flush has begun: nothing else may be done before it is at its end.
    flushing: bool,
    then: Then,
    bytes_in: u64,
    bytes_out: u64,
    took: Duration,
}

/// What comes when the input is coded.
enum Then {
    Read,
    /// The content is over.
    Finish(Option<HeaderMap>),
    /// It has broken off: what was there before still goes out.
    Break(BoxError),
    Trailers(HeaderMap),
    End,
}

impl Coded {
    pub(crate) fn new(lease: Lease, coding: Coding, shared: &Arc<Shared>) -> Self {
        Self {
            lease: Some(lease),
            coding,
            has_dictionary: false,
            shared: Arc::clone(shared),
            input: Bytes::new(),
            out: Vec::new(),
            dirty: false,
            flushing: false,
            then: Then::Read,
            bytes_in: 0,
            bytes_out: 0,
            took: Duration::ZERO,
        }
    }

    /// Puts this before all that is coded, which needs a dictionary.
    pub(crate) fn begin_with(&mut self, preamble: Vec<u8>) {
        self.has_dictionary = true;
        self.out.reserve_exact(FRAME);
        self.out.extend(preamble);
    }

    fn is_full(&self) -> bool {
        self.out.len() == self.out.capacity()
    }

    /// The coded bytes so far.
    fn give(&mut self) -> Bytes {
        self.bytes_out += self.out.len() as u64;
        if self.out.len() > SMALL {
            return Bytes::from(std::mem::take(&mut self.out));
        }
        let given = Bytes::copy_from_slice(&self.out);
        self.out.clear();
        given
    }

    /// One call of the encoder, by the clock.
    fn encode<T>(
        &mut self,
        call: impl FnOnce(&mut crate::encoder::Encoder, &mut Vec<u8>, &Bytes) -> Result<T, EncodeError>,
    ) -> Result<T, EncodeError> {
        if self.out.capacity() == 0 {
            self.out.reserve_exact(FRAME);
        }
        let Self { lease, out, input, shared, .. } = self;
        let lease = lease.as_mut().ok_or(EncodeError(self.coding))?;
        let encoder = lease.encoder()?;
        let (result, took) = shared.guard.measure(|| call(encoder, out, input));
        self.took += took;
        if result.is_err() {
            lease.spoil();
        }
        result
    }

    /// Codes of the input what is due in this poll, or until a frame is full.
    fn code_input(&mut self, budget: &mut usize) -> Result<(), EncodeError> {
        while !self.input.is_empty() && !self.is_full_frame() && *budget > 0 {
            let most = PIECE.min(*budget);
            let used = self.encode(|encoder, out, input| {
                encoder.write(&input[..input.len().min(most)], out)
            })?;
            self.input.advance(used);
            self.bytes_in += used as u64;
            self.dirty = true;
            *budget -= used;
            if used == 0 && !self.is_full() {
                return Err(EncodeError(self.coding));
            }
        }
        Ok(())
    }

    fn is_full_frame(&self) -> bool {
        !self.out.is_empty() && self.is_full()
    }

    /// Goes on with a flush; true where it is at its end.
    fn flush(&mut self) -> Result<bool, EncodeError> {
        let done = self.encode(|encoder, out, _| encoder.flush(out))?;
        self.flushing = !done;
        self.dirty = !done;
        Ok(done)
    }

    fn finish(&mut self) -> Result<bool, EncodeError> {
        self.encode(|encoder, out, _| encoder.finish(out))
    }
}

/// What was coded is counted once, however it ends.
impl Drop for Coded {
    fn drop(&mut self) {
        self.bytes_out += self.out.len() as u64;
        let (coding, dictionary) = (self.coding, self.has_dictionary);
        let (bytes_in, bytes_out) = (self.bytes_in, self.bytes_out);
        self.shared.metrics.coded(coding, dictionary, bytes_in, bytes_out, self.took);
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl<B> Body for CompressBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.project();
        let capture = this.capture;
        match this.kind.project() {
            KindProj::Plain { mut body } => {
                let polled = body.as_mut().poll_frame(cx).map_err(Into::into);
                capture_frame(capture, &body, &polled);
                polled
            }
            KindProj::Empty { .. } => Poll::Ready(None),
            KindProj::Coded { body, coded } => match poll_coded(body, coded, capture, cx) {
                Poll::Ready(Err(error)) => {
                    coded.then = Then::End;
                    coded.lease = None;
                    Poll::Ready(Some(Err(error.into())))
                }
                Poll::Ready(Ok(frame)) => Poll::Ready(frame),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Plain { body } => body.is_end_stream(),
            Kind::Empty { .. } => true,
            Kind::Coded { coded, .. } => matches!(coded.then, Then::End),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Plain { body } => body.size_hint(),
            Kind::Empty { body } => body.size_hint(),
            Kind::Coded { .. } => SizeHint::default(),
        }
    }
}

/// The next frame of the content, which is kept where it is to be.
fn capture_next<B>(
    capture: &mut Option<Box<Capture>>,
    mut body: Pin<&mut B>,
    cx: &mut Context<'_>,
) -> Polled
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let polled = body.as_mut().poll_frame(cx).map_err(Into::into);
    capture_frame(capture, &body, &polled);
    polled
}

/// Keeps a frame; with the last one the dictionary is complete.
fn capture_frame<B: Body>(capture: &mut Option<Box<Capture>>, body: &B, polled: &Polled) {
    let Some(kept) = capture else { return };
    let is_over = match polled {
        Poll::Pending => false,
        Poll::Ready(Some(Err(_))) => {
            *capture = None;
            return;
        }
        Poll::Ready(None) => true,
        Poll::Ready(Some(Ok(frame))) => {
            if let Some(data) = frame.data_ref() {
                kept.push(data);
            }
            frame.is_trailers() || body.is_end_stream()
        }
    };
    if is_over && let Some(kept) = capture.take() {
        kept.finish();
    }
}

/// A frame, the end, or the failure of what is behind; or that of the encoder.
type Encoded = Result<Option<Result<Frame<Bytes>, BoxError>>, EncodeError>;

fn poll_coded<B>(
    mut body: Pin<&mut B>,
    coded: &mut Coded,
    capture: &mut Option<Box<Capture>>,
    cx: &mut Context<'_>,
) -> Poll<Encoded>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let give = |coded: &mut Coded| Poll::Ready(Ok(Some(Ok(Frame::data(coded.give())))));
    let mut budget = SLICE;
    loop {
        if coded.flushing {
            coded.flush()?;
            // A flush that ended just where the frame before did leaves nothing to give.
            if coded.out.is_empty() {
                continue;
            }
            return give(coded);
        }
        coded.code_input(&mut budget)?;
        if coded.is_full_frame() {
            return give(coded);
        }
        if !coded.input.is_empty() {
            // Others have their turn.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match &mut coded.then {
            Then::Read => match capture_next(capture, body.as_mut(), cx) {
                Poll::Pending => {
                    if coded.dirty {
                        coded.flush()?;
                    }
                    if coded.out.is_empty() {
                        return Poll::Pending;
                    }
                    return give(coded);
                }
                Poll::Ready(None) => coded.then = Then::Finish(None),
                Poll::Ready(Some(Err(error))) => coded.then = Then::Break(error),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => coded.input = data,
                    Err(frame) => {
                        if let Ok(mut trailers) = frame.into_trailers() {
                            coding::remove_digests(&mut trailers);
                            coded.then = Then::Finish(Some(trailers).filter(|t| !t.is_empty()));
                        }
                    }
                },
            },
            Then::Finish(trailers) => {
                let trailers = trailers.take();
                if coded.finish()? {
                    coded.lease = None;
                    coded.then = trailers.map_or(Then::End, Then::Trailers);
                } else {
                    coded.then = Then::Finish(trailers);
                }
                if !coded.out.is_empty() {
                    return give(coded);
                }
            }
            Then::Break(_) => {
                if coded.dirty {
                    coded.flush()?;
                }
                if !coded.out.is_empty() {
                    return give(coded);
                }
                coded.lease = None;
                if let Then::Break(error) = std::mem::replace(&mut coded.then, Then::End) {
                    return Poll::Ready(Ok(Some(Err(error))));
                }
            }
            Then::Trailers(trailers) => {
                let trailers = std::mem::take(trailers);
                coded.then = Then::End;
                return Poll::Ready(Ok(Some(Ok(Frame::trailers(trailers)))));
            }
            Then::End => return Poll::Ready(Ok(None)),
        }
    }
}

impl<B> std::fmt::Debug for CompressBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let coded = matches!(self.kind, Kind::Coded { .. });
        f.debug_struct("CompressBody").field("coded", &coded).finish_non_exhaustive()
    }
}
