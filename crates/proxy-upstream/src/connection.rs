//! One connection to an origin, driven by whoever uses it.
//!
//! No task runs beside it: the future that awaits the response, and then the response's body,
//! read and write the socket themselves. That saves a task, its memory and its wake-ups, and
//! dropping the response at any point closes the connection at once. While it is idle nobody
//! polls it; that it was closed meanwhile is found when it is taken again.

mod head;
mod request;
mod response;
mod stream;

use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Response;
use http_body::Frame;
use proxy_core::deadline::Deadline;
use proxy_core::{ErrorKind, HeadLimits, InterimSink, ProxyError, Retry};
use tokio::time::Instant;

use crate::cluster::Permit;
use crate::dispatch::{Busy, Lasting};
pub(crate) use head::{announced, keep_announced};
use request::SendError;
pub(crate) use request::{OutgoingRequest, is_idempotent};
pub(crate) use response::Begun;
use response::{IncomingResponse, ReadError};
pub(crate) use stream::OriginStream;

/// For so long after an exchange the reactor's word on the socket is taken: a look at the socket
/// itself would be a system call for each request. The reactor of this thread is behind by one turn
/// at most, however long the connection was idle; but no origin closes one this soon without saying
/// so. What an origin says unasked in the last turn can only be taken for an answer of the same
/// origin.
const MOMENT: Duration = Duration::from_millis(50);

/// A connection that can carry one request at a time.
pub(crate) struct OriginConnection {
    stream: OriginStream,
    request: OutgoingRequest,
    response: IncomingResponse,
    /// Kept with the connection, so that its timer is made once.
    deadline: Deadline,
    /// What was written when the deadline was set.
    progress: u64,
    /// Where the peer is; none on this machine, by a path.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) opened: Instant,
    /// The stack of the thread whose reactor wakes it.
    pub(crate) home: usize,
    pub(crate) requests: u32,
    /// It was authenticated as a whole: it is somebody's, and no further request may use it.
    bound: bool,
    /// A place in a limit, given back when the connection closes.
    _place: Option<crate::pool::Place>,
    /// Keeps the place of a request that outlives its response.
    busy: Option<Busy>,
    /// A place at the parent proxy that it leads through.
    beyond: Option<Permit>,
}

impl OriginConnection {
    /// Speaks HTTP/1.1 on a connected socket.
    pub(crate) fn new(
        stream: impl Into<OriginStream>,
        address: Option<SocketAddr>,
        limits: HeadLimits,
        place: Option<crate::pool::Place>,
    ) -> Box<Self> {
        Box::new(Self {
            stream: stream.into(),
            request: OutgoingRequest::none(),
            response: IncomingResponse::new(limits),
            deadline: Deadline::default(),
            progress: 0,
            address,
            opened: Instant::now(),
            home: crate::pool::shards::own(),
            requests: 0,
            bound: false,
            _place: place,
            busy: None,
            beyond: None,
        })
    }

    /// Holds a place at a parent proxy for as long as it is open.
    pub(crate) fn hold(&mut self, place: Option<Permit>) {
        self.beyond = place;
    }

    /// It is not used again after the exchange to come.
    pub(crate) fn keep_for_one(&mut self) {
        self.bound = true;
    }

    /// Whether both messages are over and another exchange may follow.
    pub(crate) fn is_reusable(&self) -> bool {
        !self.bound && self.request.is_done() && self.response.may_be_followed()
    }

    /// Whether a request could be sent now, `idle` after the last exchange: one look at the socket
    /// finds that it was closed meanwhile, and bytes that nobody asked for. Nobody is to be woken
    /// for either.
    pub(crate) fn is_usable(&mut self, idle: Duration) -> bool {
        if !self.is_reusable() {
            return false;
        }
        // What the reactor has noticed is known without a system call. But another thread's is of
        // another turn, and after more than a moment a connection is worth a look.
        let by_word = idle < MOMENT && self.home == crate::pool::shards::own();
        self.stream.is_silent(by_word)
    }

    /// Whether the peer of a new connection speaks before it was asked: what it says would be
    /// taken for an answer, and its answer for that to the next request.
    pub(crate) fn speaks_unasked(&mut self) -> bool {
        self.stream.has_spoken()
    }

    /// It is idle and may stay so for long. Whoever is told of it by dropping what this gives must
    /// find the connection where idle ones are.
    pub(crate) fn rest(&mut self) -> Option<Busy> {
        self.deadline.clear();
        self.busy.take()
    }

    /// It is busy until it is given back or closed, whatever becomes of the response.
    pub(crate) fn lasts(&mut self) -> Lasting {
        let lasting = Lasting::default();
        self.busy = Some(lasting.guard());
        lasting
    }

    /// Gives back memory that it does not need while it is idle.
    pub(crate) fn shrink(&mut self) {
        self.response.shrink();
        self.request = OutgoingRequest::none();
    }

    /// The buffer of the request before, for the head of the next one.
    pub(crate) fn take_buffer(&mut self) -> BytesMut {
        self.request.take_buffer()
    }

    /// Begins an exchange. Nothing is written yet.
    pub(crate) fn begin(&mut self, request: OutgoingRequest) {
        self.requests = self.requests.saturating_add(1);
        self.bound |= request.binds_connection();
        self.request = request;
        self.response.begin();
        self.deadline.clear();
        self.progress = 0;
    }

    /// The request of an exchange that has failed like this, where it may be sent again.
    pub(crate) fn take_request(&mut self, retry: Retry) -> Option<OutgoingRequest> {
        let request = std::mem::replace(&mut self.request, OutgoingRequest::none());
        match retry {
            Retry::NothingSent => Some(request),
            Retry::IfIdempotent => request.rewound(),
            Retry::Never => None,
        }
    }

    /// Sends the request and waits for the head of the final response, for `patience` without any
    /// progress.
    pub(crate) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        sink: Option<&dyn InterimSink>,
        patience: Duration,
    ) -> Poll<Result<Response<()>, ProxyError>> {
        // Reading comes first: it finds that the peer has gone before anything is sent to it.
        loop {
            let to_head = self.request.is_to_head();
            match self.response.poll_head(cx, &mut self.stream, to_head, sink) {
                Poll::Pending => {}
                Poll::Ready(_) if self.request.written() == 0 && self.response.has_first_byte() => {
                    // No answer: nothing was asked.
                    return Poll::Ready(Err(unsolicited()));
                }
                Poll::Ready(Ok(response)) => {
                    self.request.want_content();
                    self.deadline.clear();
                    return Poll::Ready(Ok(response));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.failed(error))),
            }
            if self.response.continues() {
                self.request.want_content();
            }
            match self.request.poll_send(cx, &mut self.stream) {
                Poll::Ready(Err(SendError::Content(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(Err(SendError::Io)) if self.request.written() == 0 => {
                    return Poll::Ready(Err(self.failed(ReadError::Closed)));
                }
                // An answer may have come before the peer closed.
                Poll::Ready(Err(SendError::Io)) => continue,
                Poll::Ready(Ok(())) | Poll::Pending => break,
            }
        }
        ready!(self.poll_overdue(cx, patience));
        Poll::Ready(Err(ProxyError::new(ErrorKind::HttpResponseTimeout).detail("first_byte")))
    }

    /// What came along with the head.
    pub(crate) fn begun(&mut self) -> Result<Begun, ProxyError> {
        self.response.begun()
    }

    /// Whether the content of the response is read to its end.
    pub(crate) fn is_answered(&self) -> bool {
        self.response.is_whole()
    }

    /// The next frame of the response, for which the peer may take `patience`. What is left of
    /// the request moves on with it.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        patience: Duration,
    ) -> Poll<Option<Result<Frame<Bytes>, ProxyError>>> {
        loop {
            match self.response.next_frame().map_err(ReadError::from) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.response.is_whole() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(self.failed(error)))),
            }
            // A peer that takes no more of the request may still complete its response.
            if let Poll::Ready(Err(SendError::Content(error))) = self.poll_request(cx) {
                return Poll::Ready(Some(Err(error)));
            }
            match self.response.poll_more(cx, &mut self.stream) {
                Poll::Ready(Ok(_)) => self.deadline.clear(),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(self.failed(error)))),
                Poll::Pending => {
                    ready!(self.poll_overdue(cx, patience));
                    let error = ProxyError::new(ErrorKind::ConnectionReadTimeout);
                    return Poll::Ready(Some(Err(error.detail("read_idle"))));
                }
            }
        }
    }

    /// The response is whole, and the rest of the request has its own time.
    pub(crate) fn wait_for_rest(&mut self) {
        self.deadline.clear();
    }

    /// Sends what is left of a request whose response is whole. `true`: all of it is sent.
    pub(crate) fn poll_rest(&mut self, cx: &mut Context<'_>, patience: Duration) -> Poll<bool> {
        if self.poll_request(cx).is_ready() {
            return Poll::Ready(self.request.is_done());
        }
        // Whatever comes now nobody asked for, and a peer that has closed takes nothing.
        if self.response.poll_more(cx, &mut self.stream).is_ready() {
            return Poll::Ready(false);
        }
        // Nobody waits for it any more: the client's slowness counts too.
        if !self.deadline.is_set() || self.request.written() != self.progress {
            self.progress = self.request.written();
            self.deadline.set_in(patience);
        }
        self.deadline.poll(cx).map(|()| false)
    }

    /// Whether some of the request is still to be sent, and can be.
    pub(crate) fn is_sending(&self) -> bool {
        !self.request.is_done() && !self.request.is_broken()
    }

    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if self.request.is_done() {
            return Poll::Ready(Ok(()));
        }
        self.request.poll_send(cx, &mut self.stream)
    }

    /// The clock runs while the peer is waited for, and starts anew when it takes something; a
    /// client that is slow with its content is not the peer's fault.
    fn poll_overdue(&mut self, cx: &mut Context<'_>, patience: Duration) -> Poll<()> {
        let written = self.request.written();
        if !self.request.waits_for_upstream() {
            self.deadline.clear();
        } else if !self.deadline.is_set() || written != self.progress {
            self.progress = written;
            self.deadline.set_in(patience);
        }
        self.deadline.poll(cx)
    }

    /// What a broken connection means for the request on it.
    fn failed(&self, error: ReadError) -> ProxyError {
        if let ReadError::Unsound(error) = error {
            return error;
        }
        match (self.request.written(), self.response.has_first_byte()) {
            (0, _) => ProxyError::new(ErrorKind::ConnectionTerminated).retry(Retry::NothingSent),
            (_, false) => {
                ProxyError::new(ErrorKind::ConnectionTerminated).retry(Retry::IfIdempotent)
            }
            (_, true) => ProxyError::new(ErrorKind::HttpResponseIncomplete),
        }
    }
}

/// The error of a request whose peer has answered before it was asked.
pub(crate) fn unsolicited() -> ProxyError {
    ProxyError::new(ErrorKind::HttpProtocolError)
        .detail("unsolicited_bytes")
        .retry(Retry::NothingSent)
}

#[cfg(test)]
mod tests;
