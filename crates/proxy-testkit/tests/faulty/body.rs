//! A body wrapper with faults to choose from.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use proxy_core::BoxError;

/// What can be wrong with a body wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFault {
    DropsTrailers,
    ForgetsSizeHint,
    ForgetsEndOfStream,
    EndsEarly,
    PollsAfterEnd,
    ReadsAhead,
    WakesWhilePending,
    LosesWake,
    PausesByItself,
    SwallowsErrors,
    ReplacesErrors,
    ChangesData,
    Leaks,
}

/// Content of the inner service, or made by the layer.
#[derive(Debug)]
pub(crate) struct FaultyBody<B, Q> {
    inner: Option<Pin<Box<B>>>,
    /// What was made, or read ahead.
    ready: Option<Box<Frame<Bytes>>>,
    fault: Option<BodyFault>,
    paused: bool,
    _ballast: Q,
}

impl<B, Q: Default> FaultyBody<B, Q> {
    pub(crate) fn new(body: B, fault: Option<BodyFault>) -> Self {
        let inner = Some(Box::pin(body));
        Self { inner, ready: None, fault, paused: false, _ballast: Q::default() }
    }

    pub(crate) fn made(content: Bytes) -> Self {
        let ready = (!content.is_empty()).then(|| Box::new(Frame::data(content)));
        Self { inner: None, ready, fault: None, paused: false, _ballast: Q::default() }
    }
}

impl<B, Q> Drop for FaultyBody<B, Q> {
    fn drop(&mut self) {
        if self.fault == Some(BodyFault::Leaks) {
            std::mem::forget(self.inner.take());
        }
    }
}

type Polled<E> = Poll<Option<Result<Frame<Bytes>, E>>>;

impl<B, Q> FaultyBody<B, Q>
where
    B: Body<Data = Bytes>,
{
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Polled<B::Error> {
        match &mut self.inner {
            Some(inner) => inner.as_mut().poll_frame(cx),
            None => Poll::Ready(None),
        }
    }
}

impl<B, Q> Body for FaultyBody<B, Q>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    Q: Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<BoxError> {
        let this = self.get_mut();
        if let Some(frame) = this.ready.take() {
            return Poll::Ready(Some(Ok(*frame)));
        }
        let polled = match this.fault {
            Some(BodyFault::LosesWake) => this.poll_inner(&mut Context::from_waker(Waker::noop())),
            Some(BodyFault::PausesByItself) if !std::mem::replace(&mut this.paused, true) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            _ => this.poll_inner(cx),
        };
        match (this.fault, polled) {
            (Some(BodyFault::DropsTrailers), Poll::Ready(Some(Ok(frame))))
                if frame.is_trailers() =>
            {
                Poll::Ready(None)
            }
            (Some(BodyFault::PollsAfterEnd), Poll::Ready(None)) => {
                this.poll_inner(cx).map_err(Into::into)
            }
            (Some(BodyFault::ReadsAhead), Poll::Ready(Some(Ok(frame)))) => {
                if let Poll::Ready(Some(Ok(next))) = this.poll_inner(cx) {
                    this.ready = Some(Box::new(next));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            (Some(BodyFault::WakesWhilePending), Poll::Pending) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            (Some(BodyFault::SwallowsErrors), Poll::Ready(Some(Err(_)))) => Poll::Ready(None),
            (Some(BodyFault::ReplacesErrors), Poll::Ready(Some(Err(_)))) => {
                Poll::Ready(Some(Err("something went wrong".into())))
            }
            (Some(BodyFault::ChangesData), Poll::Ready(Some(Ok(frame)))) => {
                Poll::Ready(Some(Ok(frame.map_data(|data| data.slice(1..)))))
            }
            (_, polled) => polled.map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        let inner = self.inner.as_ref().is_none_or(Body::is_end_stream);
        match self.fault {
            Some(BodyFault::ForgetsEndOfStream) => false,
            Some(BodyFault::EndsEarly) => true,
            _ => self.ready.is_none() && inner,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.ready) {
            _ if self.fault == Some(BodyFault::ForgetsSizeHint) => SizeHint::default(),
            (Some(inner), None) => inner.size_hint(),
            (_, Some(frame)) => {
                SizeHint::with_exact(frame.data_ref().map_or(0, |data| data.len() as u64))
            }
            (None, None) => SizeHint::with_exact(0),
        }
    }
}
