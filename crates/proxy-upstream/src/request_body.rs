//! The request content on its way to an origin.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use proxy_core::deadline::Deadline;
use proxy_core::fields::remove_forbidden_trailers;
use proxy_core::{Body, BoxError};
use tokio::time::Instant;

use crate::origin_link::OriginLink;

/// A client that expects 100 (Continue) is not kept waiting longer by a silent upstream
/// (RFC 9110 section 10.1.1).
const EXPECT_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) struct RequestBody {
    body: Body,
    link: Arc<OriginLink>,
    /// The content is not asked for until the upstream wants it.
    expecting: Option<Box<Deadline>>,
}

impl RequestBody {
    pub(crate) fn new(body: Body, link: Arc<OriginLink>, expects_continue: bool) -> Self {
        let expecting = (expects_continue && !body.is_empty()).then(|| {
            let mut deadline = Box::new(Deadline::default());
            deadline.set(Instant::now() + EXPECT_TIMEOUT);
            deadline
        });
        Self { body, link, expecting }
    }

    /// The content itself, where none of it was read.
    pub(crate) fn into_inner(mut self) -> Body {
        std::mem::take(&mut self.body)
    }
}

/// A trailer section without what must not stand in one.
pub(crate) fn sound_trailers(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            remove_forbidden_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(other) => other,
    }
}

/// hyper drops content of a known length without asking for its end.
impl Drop for RequestBody {
    fn drop(&mut self) {
        self.link.request_done();
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(deadline) = &mut this.expecting {
            if !this.link.may_send_content(cx.waker()) && deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.expecting = None;
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        let is_last = |frame: &Frame<Bytes>| frame.is_trailers();
        if frame.as_ref().is_none_or(|f| f.as_ref().is_ok_and(is_last)) || this.body.is_end_stream()
        {
            this.link.request_done();
        }
        Poll::Ready(frame.map(|frame| frame.map(sound_trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
