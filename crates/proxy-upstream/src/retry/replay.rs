//! Content that may be sent again.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use proxy_core::{Body, BoxError};

use crate::buffer::Stored;

/// The content of a request between its attempts.
pub(super) enum Replay {
    /// None, or wholly in memory.
    Known(Bytes),
    /// It was collected before, and can be read as often as is needed; and whether the attempt
    /// under way has read all of it.
    Stored(Stored, Arc<AtomicBool>),
    /// It comes, and what has come is kept.
    Coming(Arc<Mutex<Kept>>),
}

/// What has come of streamed content.
#[derive(Default)]
pub(super) struct Kept {
    /// Copied: a piece of a byte may hold a buffer of thousands.
    content: BytesMut,
    trailers: Option<HeaderMap>,
    /// What is still to come; gone while an attempt has it.
    rest: Option<Body>,
    /// All of it has come.
    ended: bool,
    /// More has come than is kept, or it broke off.
    lost: bool,
    /// What the content has at least, and what is kept at most.
    least: u64,
    most: usize,
}

impl Replay {
    pub(super) fn new(body: Body, stored: Option<Stored>, most: usize) -> Self {
        if let Some(stored) = stored {
            return Self::Stored(stored, Arc::default());
        }
        if body.is_empty() {
            return Self::Known(Bytes::new());
        }
        if let Some(bytes) = body.as_bytes() {
            return Self::Known(bytes.clone());
        }
        let least = body.size_hint().lower();
        let kept = Kept { rest: Some(body), least, most, ..Kept::default() };
        Self::Coming(Arc::new(Mutex::new(kept)))
    }

    /// The content from its beginning, for an attempt; `None` where it is not there any more.
    /// Nothing is kept for the last one.
    pub(super) fn body(&mut self, is_last: bool) -> Option<Body> {
        let kept = match self {
            Self::Known(bytes) => return Some(Body::full(bytes.clone())),
            Self::Stored(stored, taken) => {
                // What an attempt before may still do with its own is not this one's.
                *taken = Arc::default();
                return Some(stored.body_telling(Arc::clone(taken)));
            }
            Self::Coming(kept) => kept,
        };
        let rest = {
            let mut kept = lock(kept);
            let lost = std::mem::replace(&mut kept.lost, is_last);
            kept.rest.take().filter(|_| !lost)?
        };
        let (at, trailers_given) = (0, false);
        Some(Body::new(Tee { kept: Arc::clone(kept), rest, at, trailers_given }))
    }

    /// Whether it can be given again: the attempt has given back what it had of it.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Known(_) | Self::Stored(..) => true,
            Self::Coming(kept) => {
                let kept = lock(kept);
                !kept.lost && kept.rest.is_some()
            }
        }
    }

    /// Whether nothing of it is lost: it is [whole](Self::is_whole) once the attempt has ended.
    pub(super) fn is_kept(&self) -> bool {
        match self {
            Self::Known(_) | Self::Stored(..) => true,
            Self::Coming(kept) => !lock(kept).lost,
        }
    }

    /// Whether the attempt has taken all of it.
    pub(super) fn is_taken(&self) -> bool {
        match self {
            Self::Known(_) => true,
            Self::Stored(_, taken) => taken.load(Ordering::Acquire),
            Self::Coming(kept) => lock(kept).ended,
        }
    }

    /// Nothing is kept from now on: the request is answered.
    pub(super) fn forget(&mut self) {
        if let Self::Coming(kept) = self {
            lock(kept).lose();
        }
    }
}

impl Kept {
    fn lose(&mut self) {
        self.lost = true;
    }

    fn keep(&mut self, piece: &Bytes) {
        // What is known to be too much need not be kept until it is.
        let fits = self.least <= self.most as u64
            && self.content.len().saturating_add(piece.len()) <= self.most;
        self.lost |= !fits;
        if !self.lost {
            self.content.extend_from_slice(piece);
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The content on its way: what was kept first, then the rest, of which a copy is kept.
struct Tee {
    kept: Arc<Mutex<Kept>>,
    rest: Body,
    /// Kept bytes that were given.
    at: usize,
    trailers_given: bool,
}

impl HttpBody for Tee {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let mut kept = lock(&this.kept);
        if kept.content.len() > this.at {
            let again = Bytes::copy_from_slice(&kept.content[this.at..]);
            this.at = kept.content.len();
            return Poll::Ready(Some(Ok(Frame::data(again))));
        }
        if kept.lost {
            // Nobody asks for it again, and this attempt has had it.
            kept.content = BytesMut::new();
            this.at = 0;
        }
        if let Some(trailers) = kept.trailers.clone().filter(|_| !this.trailers_given) {
            this.trailers_given = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        drop(kept);
        let frame = ready!(Pin::new(&mut this.rest).poll_frame(cx));
        let mut kept = lock(&this.kept);
        match &frame {
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref() {
                    kept.keep(piece);
                    this.at = kept.content.len();
                } else if let Some(trailers) = frame.trailers_ref() {
                    kept.trailers = Some(trailers.clone());
                    this.trailers_given = true;
                }
                kept.ended |= this.rest.is_empty();
            }
            Some(Err(_)) => kept.lose(),
            None => kept.ended = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let kept = lock(&self.kept);
        self.at >= kept.content.len()
            && (self.trailers_given || kept.trailers.is_none())
            && self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let kept = lock(&self.kept);
        let again = kept.content.len().saturating_sub(self.at) as u64;
        let mut hint = self.rest.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + again);
        }
        hint.set_lower(hint.lower() + again);
        hint
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        lock(&self.kept).rest = Some(std::mem::take(&mut self.rest));
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    fn streamed(pieces: &[&'static str]) -> Body {
        let frames: Vec<_> = pieces
            .iter()
            .map(|piece| Ok::<_, BoxError>(Frame::data(Bytes::from_static(piece.as_bytes()))))
            .collect();
        Body::new(StreamBody::new(futures_util::stream::iter(frames)))
    }

    async fn read_all(body: Body) -> String {
        String::from_utf8(body.collect().await.expect("sound").to_bytes().to_vec()).expect("text")
    }

    #[tokio::test]
    async fn what_was_taken_is_given_again() {
        let mut replay = Replay::new(streamed(&["ab", "cd", "ef"]), None, 100);
        let mut first = replay.body(false).expect("there");
        assert!(!replay.is_whole(), "the attempt has it");
        first.frame().await.expect("a frame").expect("sound");
        drop(first);
        assert!(replay.is_whole() && !replay.is_taken());
        assert_eq!(read_all(replay.body(false).expect("again")).await, "abcdef");
        assert!(replay.is_whole() && replay.is_taken());
        assert_eq!(read_all(replay.body(true).expect("again")).await, "abcdef");
    }

    #[tokio::test]
    async fn more_than_is_kept_is_given_once() {
        let mut replay = Replay::new(streamed(&["abcd", "efgh"]), None, 6);
        assert_eq!(read_all(replay.body(false).expect("there")).await, "abcdefgh");
        assert!(!replay.is_whole());
        assert!(replay.body(false).is_none());
        // Of what none was taken nothing is lost, whatever its size.
        let mut untouched = Replay::new(streamed(&["abcd", "efgh"]), None, 0);
        drop(untouched.body(false));
        assert_eq!(read_all(untouched.body(true).expect("again")).await, "abcdefgh");
    }

    /// A client that sends byte by byte does not make us keep a buffer for each.
    #[tokio::test]
    async fn what_is_kept_holds_no_buffer_of_others() {
        let read = Bytes::from(vec![b'a'; 8 * 1024]);
        let frames = [Ok::<_, BoxError>(Frame::data(read.slice(..1)))];
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        let mut replay = Replay::new(body, None, 100);
        let taken = read_all(replay.body(false).expect("there")).await;
        assert_eq!(taken, "a");
        assert!(replay.is_whole());
        assert!(read.is_unique(), "the buffer serves others");
    }

    #[tokio::test]
    async fn content_in_memory_costs_nothing() {
        let mut replay = Replay::new(Body::full("abc"), None, 0);
        assert!(replay.is_taken());
        for last in [false, false, true] {
            let body = replay.body(last).expect("always");
            assert!(body.as_bytes().is_some() && replay.is_whole());
        }
    }
}
