//! One client's reading of a fill.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use proxy_core::BoxError;

use super::{BrokenContent, End, Fill};
use crate::wakers::Ticket;

/// Reads a fill, or a range of it.
pub(crate) struct FillReader {
    fill: Arc<Fill>,
    /// Its place in the table of readers.
    place: usize,
    /// Its place among those who wait.
    ticket: Ticket,
    /// The next chunk, counted from the first of all.
    next: usize,
    /// Bytes to skip and bytes to give, of what follows.
    skip: u64,
    left: Option<u64>,
    /// Reads a range, and leaves behind it.
    ranged: bool,
    over: bool,
}

impl FillReader {
    /// Reads from the first byte. `None` where that is no longer held.
    pub(crate) fn new(fill: &Arc<Fill>, range: Option<Range<u64>>) -> Option<Self> {
        let mut state = fill.lock();
        if state.dropped > 0 {
            return None;
        }
        let free = state.readers.iter().position(Option::is_none);
        let place = free.unwrap_or(state.readers.len());
        match free {
            Some(place) => state.readers[place] = Some(0),
            None => state.readers.push(Some(0)),
        }
        state.joined += 1;
        drop(state);
        let ranged = range.is_some();
        let (skip, left) = match range {
            Some(range) => (range.start, Some(range.end - range.start)),
            None => (0, fill.len),
        };
        Some(Self {
            ticket: fill.wakers.ticket(),
            fill: Arc::clone(fill),
            place,
            next: 0,
            skip,
            left,
            ranged,
            over: false,
        })
    }

    /// The part of a chunk that this reader gives.
    fn cut(&mut self, mut chunk: Bytes) -> Bytes {
        let skipped = self.skip.min(chunk.len() as u64);
        self.skip -= skipped;
        chunk = chunk.slice(usize::try_from(skipped).unwrap_or(0)..);
        if let Some(left) = &mut self.left {
            let given = (*left).min(chunk.len() as u64);
            *left -= given;
            chunk.truncate(usize::try_from(given).unwrap_or(usize::MAX));
        }
        chunk
    }

    /// The next chunk of the fill; `None` at its end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BoxError>> {
        let mut registered = false;
        let mut state = self.fill.lock();
        loop {
            if let Some(chunk) = state.chunks.get(self.next.wrapping_sub(state.dropped)) {
                let chunk = chunk.clone();
                self.next += 1;
                state.readers[self.place] = Some(self.next);
                let full = state.held;
                self.fill.trim(&mut state);
                if state.held < full {
                    self.fill.wakers.wake_all();
                }
                return Poll::Ready(Ok(Some(chunk)));
            }
            match state.end {
                Some(End::Complete) => return Poll::Ready(Ok(None)),
                Some(End::Broken) => return Poll::Ready(Err(BrokenContent.into())),
                None => {}
            }
            if !registered {
                registered = true;
                self.fill.wakers.wait(self.ticket, cx);
            }
            ready!(self.fill.poll_source(&mut state));
        }
    }
}

impl Body for FillReader {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            // A range does not wait for the rest; the whole does: behind it may be trailers.
            if self.ranged && self.left == Some(0) {
                self.over = true;
                return Poll::Ready(None);
            }
            match ready!(self.poll_chunk(cx)) {
                Ok(Some(chunk)) => {
                    let chunk = self.cut(chunk);
                    if !chunk.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(chunk))));
                    }
                }
                Ok(None) => {
                    self.over = true;
                    let trailers = self.fill.lock().trailers.clone();
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                }
                Err(error) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        self.fill.wakers.leave(self.ticket);
        self.fill.leave(self.place);
    }
}
