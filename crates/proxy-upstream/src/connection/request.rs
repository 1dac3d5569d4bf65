//! The request of an exchange on its way out: head and content, as far as they are not written.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use http_body::Body as _;
use http_body::Frame;
use proxy_core::deadline::Deadline;
use proxy_core::fields::remove_forbidden_trailers;
use proxy_core::framing::{write_chunk_size, write_last_chunk};
use proxy_core::{Body, BoxError, ErrorKind, ProxyError};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::OriginStream;
use super::head::{self, Coding};

/// A client that expects 100 (Continue) is not kept waiting longer by a silent upstream
/// (RFC 9110 section 10.1.1).
const EXPECT_TIMEOUT: Duration = Duration::from_secs(1);

/// See the [module](self). It belongs to no connection until some byte of it is written, so one
/// that could not be sent can be sent on another.
#[derive(Default)]
pub(crate) struct OutgoingRequest {
    /// The head, and then what frames each chunk; written up to `at`.
    buffer: BytesMut,
    at: usize,
    /// Content behind `buffer`.
    data: Bytes,
    /// Framing behind `data`.
    tail: &'static [u8],
    body: Body,
    coding: Coding,
    /// The content is not asked for until the upstream wants it.
    expecting: Option<Box<Deadline>>,
    /// Nothing follows what is held here.
    ended: bool,
    /// The peer takes nothing more, or must not get more.
    broken: bool,
    /// The peer does not take what is written, for now.
    blocked: bool,
    /// What was written may still be within TLS.
    unflushed: bool,
    /// Bytes written.
    written: u64,
    to_head: bool,
    idempotent: bool,
    binds: bool,
}

/// Why a request could not be sent whole.
pub(crate) enum SendError {
    /// The connection failed.
    Io,
    /// The content failed, and says why.
    Content(ProxyError),
}

impl OutgoingRequest {
    /// No request: what a connection has before its first one.
    pub(super) fn none() -> Self {
        Self { ended: true, ..Self::default() }
    }

    /// Writes the head into `buffer`, which may be used already, and takes the content; the head
    /// of `request` stays as it was. Of a request that fails here nothing was sent.
    pub(crate) fn new(
        request: &mut http::Request<Body>,
        mut buffer: BytesMut,
        expects_continue: bool,
    ) -> Result<Self, ProxyError> {
        buffer.clear();
        let coding = head::write(request, &mut buffer)?;
        let to_head = request.method() == http::Method::HEAD;
        let idempotent = is_idempotent(request.method());
        let binds = request.headers().get(AUTHORIZATION).is_some_and(authenticates_connection);
        let ended = matches!(coding, Coding::None | Coding::Length(0));
        let body = if ended { Body::empty() } else { std::mem::take(request.body_mut()) };
        let expecting = (expects_continue && !ended).then(|| {
            let mut deadline = Box::new(Deadline::default());
            deadline.set(Instant::now() + EXPECT_TIMEOUT);
            deadline
        });
        Ok(Self {
            buffer,
            body,
            coding,
            expecting,
            ended,
            to_head,
            idempotent,
            binds,
            ..Self::default()
        })
    }

    /// The buffer of a request that is over.
    pub(super) fn take_buffer(&mut self) -> BytesMut {
        self.at = 0;
        std::mem::take(&mut self.buffer)
    }

    /// The content of a request of which nothing was sent, where nothing of it was taken either.
    pub(crate) fn into_content(self) -> Option<Body> {
        let is_untouched = self.written == 0 && self.data.is_empty() && self.tail.is_empty();
        (is_untouched && !self.broken).then_some(self.body)
    }

    /// The same request from its beginning, where it may be sent again: it is idempotent
    /// (RFC 9110 section 9.2.2) and all of it is in its head, which is still here.
    pub(super) fn rewound(mut self) -> Option<Self> {
        if !self.idempotent || !matches!(self.coding, Coding::None) {
            return None;
        }
        (self.at, self.written) = (0, 0);
        (self.broken, self.blocked, self.unflushed) = (false, false, false);
        Some(self)
    }

    /// Whether it asks the origin server to take the whole connection for this user's.
    pub(super) fn binds_connection(&self) -> bool {
        self.binds
    }

    /// Whether its response has no content.
    pub(super) fn is_to_head(&self) -> bool {
        self.to_head
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// It is written, its content included.
    pub(super) fn is_done(&self) -> bool {
        self.ended && !self.broken && !self.has_unwritten() && !self.unflushed
    }

    /// The rest of it will never be written.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether it is the upstream for which we wait, and not the client's content.
    pub(super) fn waits_for_upstream(&self) -> bool {
        self.blocked || self.broken || self.is_done()
    }

    /// 100 (Continue) or the final response has come: content that waited may go.
    pub(super) fn want_content(&mut self) {
        self.expecting = None;
    }

    fn has_unwritten(&self) -> bool {
        self.at < self.buffer.len() || !self.data.is_empty() || !self.tail.is_empty()
    }

    /// Writes what there is, the first piece of content together with the head. Ready when all of
    /// it is written.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut OriginStream,
    ) -> Poll<Result<(), SendError>> {
        if self.broken {
            return Poll::Pending;
        }
        loop {
            let mut starved = false;
            if !self.ended && self.data.is_empty() && self.tail.is_empty() {
                match self.poll_content(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => {
                        self.break_off();
                        return Poll::Ready(Err(SendError::Content(error)));
                    }
                    Poll::Pending => starved = true,
                }
            }
            if self.has_unwritten() {
                let written = self.poll_write(cx, stream);
                self.blocked = written.is_pending();
                match ready!(written) {
                    Ok(n) if n > 0 => self.advance(n),
                    _ => {
                        // Of which nothing was sent, that may go over another connection.
                        if self.written > 0 {
                            self.break_off();
                        }
                        return Poll::Ready(Err(SendError::Io));
                    }
                }
            } else if self.ended || starved {
                let flushed = self.poll_flush(cx, stream)?;
                return if self.ended { flushed.map(Ok) } else { Poll::Pending };
            }
        }
    }

    /// TLS holds what the socket did not take at once.
    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut OriginStream,
    ) -> Poll<Result<(), SendError>> {
        if !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(stream).poll_flush(cx);
        self.blocked = flushed.is_pending();
        if ready!(flushed).is_err() {
            self.break_off();
            return Poll::Ready(Err(SendError::Io));
        }
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// The client's content is asked for no more.
    fn break_off(&mut self) {
        self.broken = true;
        self.blocked = false;
        self.body = Body::empty();
        self.data = Bytes::new();
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut OriginStream,
    ) -> Poll<io::Result<usize>> {
        let head = &self.buffer[self.at..];
        if self.data.is_empty() && self.tail.is_empty() {
            return Pin::new(stream).poll_write(cx, head);
        }
        let slices = [IoSlice::new(head), IoSlice::new(&self.data), IoSlice::new(self.tail)];
        let slices = if head.is_empty() { &slices[1..] } else { &slices[..] };
        Pin::new(stream).poll_write_vectored(cx, slices)
    }

    fn advance(&mut self, n: usize) {
        self.written += n as u64;
        self.unflushed = true;
        let head = n.min(self.buffer.len() - self.at);
        self.at += head;
        let data = (n - head).min(self.data.len());
        self.data.advance(data);
        if self.data.is_empty() && data > 0 {
            self.data = Bytes::new();
        }
        self.tail = &self.tail[n - head - data..];
    }

    /// Takes the next piece of content, or its end, in its coding.
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        if let Some(deadline) = &mut self.expecting {
            ready!(deadline.poll(cx));
            self.expecting = None;
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => Some(frame),
            Some(Err(error)) => return Poll::Ready(Err(content_error(&error))),
            None => None,
        };
        // What was written is not needed again: content makes a request unrepeatable.
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
        Poll::Ready(self.encode(frame))
    }

    fn encode(&mut self, frame: Option<Frame<Bytes>>) -> Result<(), ProxyError> {
        let data = match frame.map(Frame::into_data) {
            Some(Ok(data)) if data.is_empty() => return Ok(()),
            Some(Ok(data)) => data,
            Some(Err(frame)) => return self.end(frame.into_trailers().ok()),
            None => return self.end(None),
        };
        match &mut self.coding {
            Coding::Length(left) => {
                // More than was announced would be read as the next request.
                *left = left.checked_sub(data.len() as u64).ok_or_else(wrong_length)?;
                self.ended = *left == 0;
            }
            Coding::Chunked(_) => {
                write_chunk_size(&mut self.buffer, data.len());
                self.ended = self.body.is_end_stream();
                self.tail = if self.ended { b"\r\n0\r\n\r\n" } else { b"\r\n" };
            }
            Coding::None => return Err(wrong_length()),
        }
        if self.ended {
            self.body = Body::empty();
        }
        self.data = data;
        Ok(())
    }

    /// The content ends here. Of its trailer fields only those go on that `Trailer` has announced
    /// (RFC 9110 section 6.6.2) and that may stand in a trailer section.
    fn end(&mut self, trailers: Option<http::HeaderMap>) -> Result<(), ProxyError> {
        self.ended = true;
        self.body = Body::empty();
        match &self.coding {
            Coding::None | Coding::Length(0) => Ok(()),
            Coding::Length(_) => Err(wrong_length()),
            Coding::Chunked(announced) => {
                let mut trailers = trailers.unwrap_or_default();
                if !trailers.is_empty() {
                    remove_forbidden_trailers(&mut trailers);
                    head::keep_announced(&mut trailers, announced);
                }
                write_last_chunk(&mut self.buffer, &trailers);
                Ok(())
            }
        }
    }
}

/// Methods that may be repeated (RFC 9110 section 9.2.2). `QUERY` (RFC 10008) is safe.
/// NTLM and Negotiate authenticate connections, against RFC 9110 section 11.1: what follows on one is
/// served as its user, whoever sent it.
fn authenticates_connection(credentials: &HeaderValue) -> bool {
    let scheme = credentials.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
    [&b"ntlm"[..], b"negotiate"].iter().any(|own| scheme.eq_ignore_ascii_case(own))
}

pub(crate) fn is_idempotent(method: &http::Method) -> bool {
    use http::Method;
    match *method {
        Method::GET
        | Method::HEAD
        | Method::OPTIONS
        | Method::TRACE
        | Method::PUT
        | Method::DELETE => true,
        ref other => other.as_str() == "QUERY",
    }
}

fn wrong_length() -> ProxyError {
    ProxyError::new(ErrorKind::HttpRequestError).detail("content_length")
}

/// What a body of ours says about its failure; one that says nothing has lost its client.
fn content_error(error: &BoxError) -> ProxyError {
    let Some(found) = ProxyError::find(&**error) else {
        return ProxyError::new(ErrorKind::HttpRequestError);
    };
    let own = ProxyError::new(found.kind()).with_status(found.status());
    match found.detail_str() {
        Some(detail) => own.detail(detail),
        None => own,
    }
}
