//! Content put together from stored ranges and bytes between them.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use proxy_core::BoxError;

use crate::store::{BodyReader, StoredBody};

/// See the [module](self).
pub(crate) struct Segments {
    parts: VecDeque<Segment>,
    reading: Option<Box<dyn BodyReader>>,
    trailers: Option<HeaderMap>,
    left: u64,
}

enum Segment {
    Bytes(Bytes),
    Stored(StoredBody, Range<u64>),
}

impl Segments {
    pub(crate) fn new() -> Self {
        Self { parts: VecDeque::new(), reading: None, trailers: None, left: 0 }
    }

    pub(crate) fn bytes(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.left += bytes.len() as u64;
            self.parts.push_back(Segment::Bytes(bytes));
        }
    }

    /// A range of stored content, which lies within it.
    pub(crate) fn stored(&mut self, body: &StoredBody, range: Range<u64>) {
        match body {
            StoredBody::Memory { chunks, .. } => slices(chunks, range).for_each(|b| self.bytes(b)),
            StoredBody::Source(_) if range.is_empty() => {}
            StoredBody::Source(_) => {
                self.left += range.end - range.start;
                self.parts.push_back(Segment::Stored(body.clone(), range));
            }
        }
    }

    pub(crate) fn trailers(&mut self, trailers: Option<HeaderMap>) {
        self.trailers = trailers;
    }

    /// All of it, where it is one piece in memory.
    pub(crate) fn as_single(&self) -> Option<Bytes> {
        if self.trailers.is_some() || self.parts.len() > 1 {
            return None;
        }
        match self.parts.front() {
            None => Some(Bytes::new()),
            Some(Segment::Bytes(bytes)) => Some(bytes.clone()),
            Some(Segment::Stored(..)) => None,
        }
    }
}

/// The parts of chunks that lie within a range of them all.
pub(crate) fn slices(chunks: &[Bytes], range: Range<u64>) -> impl Iterator<Item = Bytes> {
    let mut at = 0;
    chunks.iter().filter_map(move |chunk| {
        let start = at;
        at += chunk.len() as u64;
        let from = range.start.clamp(start, at) - start;
        let to = range.end.clamp(start, at) - start;
        // Both lie within the chunk, whose length is a usize.
        (from < to).then(|| chunk.slice(from as usize..to as usize))
    })
}

impl Body for Segments {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if let Some(reading) = &mut this.reading {
                match ready!(reading.poll_read(cx)) {
                    Some(Ok(bytes)) => {
                        this.left = this.left.saturating_sub(bytes.len() as u64);
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                    Some(Err(error)) => {
                        this.parts.clear();
                        this.trailers = None;
                        this.reading = None;
                        return Poll::Ready(Some(Err(error.into())));
                    }
                    None => this.reading = None,
                }
            }
            match this.parts.pop_front() {
                Some(Segment::Bytes(bytes)) => {
                    this.left -= bytes.len() as u64;
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Segment::Stored(StoredBody::Source(source), range)) => {
                    this.reading = Some(source.open(range));
                }
                Some(Segment::Stored(StoredBody::Memory { .. }, _)) => {}
                None => {
                    let trailers = this.trailers.take();
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.reading.is_none() && self.parts.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_out_of_chunks() {
        let chunks = [Bytes::from_static(b"abc"), Bytes::from_static(b"de"), Bytes::from("fgh")];
        for (range, text) in
            [(0..8, "abcdefgh"), (1..2, "b"), (2..6, "cdef"), (3..5, "de"), (7..8, "h"), (4..4, "")]
        {
            let cut: Vec<u8> = slices(&chunks, range.clone()).flatten().collect();
            assert_eq!(cut, text.as_bytes(), "{range:?}");
        }
    }
}
