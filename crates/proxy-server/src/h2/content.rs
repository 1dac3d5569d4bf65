//! The content of one request, as the service reads it. A client that keeps it waiting for too
//! long loses its stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use proxy_core::deadline::Deadline;
use proxy_core::framing::TRAILERS_LIMIT;
use proxy_core::{ErrorKind, Fault, ProxyError};

use super::Connection;
use super::frame_gate::trailers::unmark;
use crate::multiplex::interim::Interim;
use crate::multiplex::streams::Open;
use crate::patience::Patience;

pub(super) struct Content {
    receiving: RecvStream,
    connection: Arc<Connection>,
    /// Of a client that waits for 100 (Continue).
    expecting: Option<Arc<Interim>>,
    left: Option<u64>,
    patience: Patience,
    deadline: Deadline,
    /// The service waits for the client, not the client for the service.
    awaited: bool,
    phase: Phase,
    _open: Open,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Data,
    Trailers,
    Over,
}

impl Content {
    pub(super) fn new(
        receiving: RecvStream,
        connection: &Arc<Connection>,
        fields: &HeaderMap,
        interim: &Arc<Interim>,
    ) -> Self {
        let expects =
            fields.get(EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        connection.streams.set_unread(true);
        Self {
            receiving,
            expecting: expects.then(|| Arc::clone(interim)),
            // h2 has held the content to it.
            left: fields.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok()),
            patience: Patience::new(),
            deadline: Deadline::default(),
            awaited: false,
            phase: Phase::Data,
            _open: Open::begin(&connection.streams),
            connection: Arc::clone(connection),
        }
    }

    /// Somebody waits for the client, or nothing more is to come from it.
    fn set_awaited(&mut self, awaited: bool) {
        if self.awaited != awaited {
            self.awaited = awaited;
            self.connection.streams.set_unread(!awaited);
        }
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, &'static str>> {
        // Whatever h2 reports, the content did not come to its end: also a reset with NO_ERROR.
        let broken = |_| "content_incomplete";
        if self.phase == Phase::Data {
            match ready!(self.receiving.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.patience.progress(data.len());
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    // Fails only where the stream is gone, and then nobody needs the room.
                    let _ = self.receiving.flow_control().release_capacity(data.len());
                    return Poll::Ready(Ok(Some(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => self.phase = Phase::Trailers,
            }
        }
        if self.phase == Phase::Over {
            return Poll::Ready(Ok(None));
        }
        let mut trailers = ready!(self.receiving.poll_trailers(cx)).map_err(broken)?;
        if let Some(trailers) = &mut trailers {
            unmark(trailers);
        }
        self.phase = Phase::Over;
        let size = |fields: &HeaderMap| -> usize {
            fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
        };
        match trailers {
            Some(trailers) if size(&trailers) > TRAILERS_LIMIT => {
                Poll::Ready(Err(Fault::Trailers.token()))
            }
            trailers => Poll::Ready(Ok(trailers.map(Frame::trailers))),
        }
    }

    /// The client is waited for: how long that may take.
    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let settings = &self.connection.edge.settings;
        loop {
            let until = self.patience.wait(settings.timeouts.body_grace, settings.min_rate);
            self.deadline.set(until);
            ready!(self.deadline.poll(cx));
            if self.connection.streams.unread() == 0 {
                return Poll::Ready(());
            }
            // Content of another stream lies unread, and the client may have no room to send.
            self.patience = Patience::new();
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
        let failed = |detail| ProxyError::new(ErrorKind::HttpRequestError).detail(detail);
        let poll = this.poll_next(cx);
        let expecting = this.expecting.take();
        if let Poll::Ready(next) = poll {
            this.deadline.clear();
            if next.is_err() {
                this.phase = Phase::Over;
            }
            // What has ended takes no room in the window any more, however long it is held.
            this.set_awaited(this.is_end_stream());
            return Poll::Ready(next.map_err(failed).transpose());
        }
        if let Some(interim) = expecting {
            interim.send_continue();
        }
        this.set_awaited(true);
        ready!(this.poll_slow(cx));
        this.phase = Phase::Over;
        let slow = failed("content_too_slow").with_status(StatusCode::REQUEST_TIMEOUT);
        Poll::Ready(Some(Err(slow)))
    }

    fn is_end_stream(&self) -> bool {
        self.phase == Phase::Over || self.receiving.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if !self.awaited {
            self.connection.streams.set_unread(false);
        }
    }
}
