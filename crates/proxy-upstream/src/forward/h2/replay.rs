//! The beginning of a request's content, kept until it is clear that the origin has it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use proxy_core::{Body, BoxError};

/// So much is kept; a request of which more was taken is not sent again.
const KEPT: usize = 64 * 1024;

/// What was taken of a request's content.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Copied: a piece of a byte may hold a buffer of thousands.
    content: BytesMut,
    lost: bool,
}

impl Taken {
    /// Remembers a piece.
    pub(super) fn piece(&mut self, piece: &Bytes) {
        if self.content.len() + piece.len() > KEPT {
            self.lose();
        }
        if !self.lost {
            self.content.extend_from_slice(piece);
        }
    }

    /// Something was taken that can not be given again.
    pub(super) fn lose(&mut self) {
        self.lost = true;
        self.content = BytesMut::new();
    }

    /// The content as it was, if all that was taken is still there.
    pub(super) fn restore(self, rest: Body) -> Option<Body> {
        match (self.lost, self.content.is_empty()) {
            (true, _) => None,
            (false, true) => Some(rest),
            (false, false) => Some(Body::new(Replay { content: self.content.freeze(), rest })),
        }
    }
}

struct Replay {
    content: Bytes,
    rest: Body,
}

impl HttpBody for Replay {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match std::mem::take(&mut self.content) {
            empty if empty.is_empty() => Pin::new(&mut self.rest).poll_frame(cx),
            content => Poll::Ready(Some(Ok(Frame::data(content)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.content.len() as u64;
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
