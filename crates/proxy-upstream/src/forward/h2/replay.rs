//! The beginning of a request's content, kept until it is clear that the origin has it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use proxy_core::{Body, BoxError};

/// So much is kept; a request of which more was taken is not sent again.
const KEPT: usize = 64 * 1024;

/// What was taken of a request's content.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pieces: VecDeque<Bytes>,
    size: usize,
    lost: bool,
}

impl Taken {
    /// Remembers a piece, which costs no copy.
    pub(super) fn piece(&mut self, piece: &Bytes) {
        self.size += piece.len();
        if self.size > KEPT {
            self.lose();
        }
        if !self.lost {
            self.pieces.push_back(piece.clone());
        }
    }

    /// Something was taken that can not be given again.
    pub(super) fn lose(&mut self) {
        self.lost = true;
        self.pieces = VecDeque::new();
    }

    /// The content as it was, if all that was taken is still there.
    pub(super) fn restore(self, rest: Body) -> Option<Body> {
        match (self.lost, self.pieces.is_empty()) {
            (true, _) => None,
            (false, true) => Some(rest),
            (false, false) => Some(Body::new(Replay { pieces: self.pieces, rest })),
        }
    }
}

struct Replay {
    pieces: VecDeque<Bytes>,
    rest: Body,
}

impl HttpBody for Replay {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let kept: u64 = self.pieces.iter().map(|piece| piece.len() as u64).sum();
        let mut hint = self.rest.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + kept);
        }
        hint.set_lower(hint.lower() + kept);
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn what_was_taken_comes_first() {
        let mut taken = Taken::default();
        taken.piece(&Bytes::from_static(b"ab"));
        taken.piece(&Bytes::from_static(b"cd"));
        let body = taken.restore(Body::full("ef")).expect("all of it is there");
        assert_eq!(body.size_hint().exact(), Some(6));
        assert_eq!(body.collect().await.expect("sound").to_bytes(), "abcdef");
    }

    #[test]
    fn what_is_too_much_or_gone_is_not_restored() {
        let mut much = Taken::default();
        much.piece(&Bytes::from(vec![0; KEPT]));
        much.piece(&Bytes::from_static(b"x"));
        assert!(much.restore(Body::empty()).is_none());
        let mut gone = Taken::default();
        gone.lose();
        assert!(gone.restore(Body::empty()).is_none());
        assert!(Taken::default().restore(Body::empty()).is_some());
    }
}
