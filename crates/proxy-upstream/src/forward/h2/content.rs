//! The response content on its way from an origin.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use proxy_core::deadline::Deadline;
use proxy_core::fields::remove_forbidden_trailers;
use proxy_core::framing::TRAILERS_LIMIT;
use proxy_core::{ErrorKind, ProxyError};
use tokio::task::AbortHandle;

use super::connection::Busy;
use super::head;
use crate::dispatch::Busy as Lasts;

pub(super) struct Content {
    /// Gone once the content is over: what is dropped unread tells the origin to stop.
    receiving: Option<RecvStream>,
    /// Sends the rest of the request; it has no purpose where the response breaks off. And what
    /// keeps the place at the endpoint as long as one of both goes on.
    upload: Option<(AbortHandle, Arc<Lasts>)>,
    left: Option<u64>,
    read_idle: Duration,
    deadline: Deadline,
    trailers: bool,
    _busy: Busy,
}

impl Content {
    pub(super) fn new(
        receiving: RecvStream,
        left: Option<u64>,
        upload: Option<(AbortHandle, Arc<Lasts>)>,
        read_idle: Duration,
        busy: Busy,
    ) -> Self {
        Self {
            receiving: Some(receiving),
            upload,
            left,
            read_idle,
            deadline: Deadline::default(),
            trailers: false,
            _busy: busy,
        }
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ProxyError>>> {
        let Some(receiving) = &mut self.receiving else { return Poll::Ready(None) };
        // Whatever h2 reports, the content did not come to its end: also a reset with NO_ERROR.
        let broken = |error: h2::Error| match error.is_library() {
            true => ProxyError::new(ErrorKind::HttpProtocolError).source(error),
            false => ProxyError::new(ErrorKind::HttpResponseIncomplete).source(error),
        };
        if !self.trailers {
            match ready!(receiving.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    // Fails only where the stream is gone, and then nobody needs the room.
                    let _ = receiving.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(broken(error)))),
                None => self.trailers = true,
            }
        }
        let trailers = match ready!(receiving.poll_trailers(cx)) {
            Ok(trailers) => trailers,
            Err(error) => return Poll::Ready(Some(Err(broken(error)))),
        };
        self.end();
        let Some(mut trailers) = trailers else { return Poll::Ready(None) };
        if head::size(&trailers) > TRAILERS_LIMIT {
            let error = ProxyError::new(ErrorKind::HttpResponseTransferCoding).detail("trailers");
            return Poll::Ready(Some(Err(error)));
        }
        remove_forbidden_trailers(&mut trailers);
        Poll::Ready((!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers))))
    }

    /// The response is whole. What the client still sends goes where it was meant to go.
    fn end(&mut self) {
        self.receiving = None;
        self.upload = None;
    }

    fn break_off(&mut self) {
        self.receiving = None;
        if let Some((upload, _)) = self.upload.take() {
            upload.abort();
        }
    }
}

impl HttpBody for Content {
    type Data = Bytes;
    type Error = ProxyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ProxyError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = this.poll_next(cx) {
            this.deadline.clear();
            if matches!(frame, Some(Err(_))) {
                this.break_off();
            }
            return Poll::Ready(frame);
        }
        if !this.deadline.is_set() {
            this.deadline.set_in(this.read_idle);
        }
        ready!(this.deadline.poll(cx));
        this.break_off();
        let error = ProxyError::new(ErrorKind::ConnectionReadTimeout).detail("read_idle");
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.receiving.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        // Dropped behind its last frame without having been asked for the end is whole, too.
        if !HttpBody::is_end_stream(self) {
            self.break_off();
        }
    }
}
