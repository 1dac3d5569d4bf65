//! `CompressBody`: content as it came, or coded as it comes.

mod coded;

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;
use proxy_core::{BoxError, coding};

use crate::dictionary::Capture;
use crate::encoder::EncodeError;

pub(crate) use coded::Coded;
use coded::Then;

/// Content that one poll takes in, at most, in bytes: at the highest of the levels that are meant
/// for it ([`Levels::MOST_ON_THE_FLY`](crate::Levels::MOST_ON_THE_FLY)), some milliseconds.
const SLICE: usize = 64 * 1024;

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

    /// The content behind, where it passes as it came and nothing is done with it.
    ///
    /// # Errors
    /// This body, where something is.
    pub fn into_inner(self) -> Result<B, Self> {
        match self {
            Self { kind: Kind::Plain { body }, capture: None } => Ok(body),
            other => Err(other),
        }
    }

    /// Has the content kept for a dictionary as it passes by.
    pub(crate) fn capturing(mut self, capture: Option<Box<Capture>>) -> Self {
        self.capture = capture;
        self
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
