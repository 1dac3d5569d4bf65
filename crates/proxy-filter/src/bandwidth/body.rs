//! `BandwidthBody`: content that passes no faster than a rate.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::pacer::Pacer;

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
    pub(super) fn new(body: B, pacer: Option<Pacer>) -> Self {
        let pacer = pacer.filter(|_| !body.is_end_stream());
        let slowed = pacer.map(|pacer| Box::new(Slowed { pacer, held: Bytes::new() }));
        Self { body, slowed }
    }
}

/// A frame on its way.
#[derive(Debug)]
struct Slowed {
    pacer: Pacer,
    /// What is left of the frame that was read last.
    held: Bytes,
}

impl Slowed {
    /// The next piece of the held frame, which is not empty.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let n = ready!(self.pacer.poll_turn(cx, self.held.len()));
        self.pacer.passed(n);
        Poll::Ready(self.held.split_to(n))
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
