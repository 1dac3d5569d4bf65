//! `BandwidthBody`: content that passes no faster than a rate.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use proxy_core::Sleep;

use super::limiter::{BandwidthLimiter, Direction};
use crate::rate::table::KeyHash;

/// Which rate slows a body.
pub(super) struct Flow {
    pub(super) limiter: Arc<BandwidthLimiter>,
    pub(super) direction: Direction,
    pub(super) key: KeyHash,
}

pin_project! {
    /// The inner content, in time.
    #[derive(Debug)]
    pub struct BandwidthBody<B> {
        #[pin]
        body: B,
        slowed: Option<Box<Slowed>>,
    }
}

impl<B: Body> BandwidthBody<B> {
    pub(super) fn new(body: B, flow: Option<Flow>) -> Self {
        let flow = flow.filter(|_| !body.is_end_stream());
        let slowed = flow
            .map(|flow| Box::new(Slowed { flow, held: Bytes::new(), promised: 0, sleep: None }));
        Self { body, slowed }
    }
}

/// A frame on its way.
struct Slowed {
    flow: Flow,
    /// What is left of the frame that was read last.
    held: Bytes,
    /// How much of it may pass when the sleep is over.
    promised: usize,
    sleep: Option<Sleep>,
}

impl Slowed {
    /// The next piece of the held frame, which is not empty.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if self.promised == 0 {
            self.ask();
        }
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        Poll::Ready(self.held.split_to(std::mem::take(&mut self.promised)))
    }

    fn ask(&mut self) {
        let Flow { limiter, direction, key } = &self.flow;
        let held = self.held.len();
        let Some(pace) = limiter.pace(*direction) else {
            self.promised = held;
            return;
        };
        let promise = pace.promise(*key, held as u64, limiter.clock.now());
        self.promised = usize::try_from(promise.bytes).unwrap_or(held);
        self.sleep = promise.at.map(|at| {
            limiter.metrics.waits(*direction);
            limiter.clock.sleep_until(at)
        });
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        let Flow { limiter, direction, key } = &self.flow;
        if self.promised > 0
            && let Some(pace) = limiter.pace(*direction)
        {
            pace.take_back(*key, self.promised as u64);
        }
    }
}

impl fmt::Debug for Slowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slowed")
            .field("direction", &self.flow.direction)
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>> Body for BandwidthBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let Some(slowed) = this.slowed else { return this.body.poll_frame(cx) };
        if slowed.held.is_empty() {
            match ready!(this.body.poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Ok(data) => slowed.held = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        }
        slowed.poll_piece(cx).map(|piece| Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.held() == 0 && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, held) = (self.body.size_hint(), self.held() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(held));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }
}

impl<B> BandwidthBody<B> {
    fn held(&self) -> usize {
        self.slowed.as_ref().map_or(0, |slowed| slowed.held.len())
    }
}
