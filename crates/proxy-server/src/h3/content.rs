//! The content of one request, as the service reads it. A client that keeps it waiting for too
//! long loses its stream, and one that sends another length than it announced.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::header::EXPECT;
use http::{HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use proxy_core::deadline::Deadline;
use proxy_core::framing::TRAILERS_LIMIT;
use proxy_core::{ErrorKind, Fault, ProxyError};

use super::Connection;
use super::code::Code;
use super::qpack::{self, Unreadable};
use super::request_stream::{Broken, Event, RequestStream};
use super::sections;
use crate::multiplex::interim::Interim;
use crate::multiplex::streams::Open;
use crate::patience::Patience;

/// Tells whoever answers a request that the rest of it is malformed: the answer is broken off too
/// (RFC 9114 section 4.1.2).
#[derive(Debug, Default)]
pub(super) struct Malformed {
    found: AtomicBool,
    waker: AtomicWaker,
}

impl Malformed {
    fn found(&self) {
        self.found.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Ready once it was found to be.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        match self.found.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

pub(super) struct Content {
    receiving: RequestStream,
    /// What came together with the head.
    first: Option<Event>,
    connection: Arc<Connection>,
    malformed: Arc<Malformed>,
    /// Of a client that waits for 100 (Continue).
    expecting: Option<Arc<Interim>>,
    left: Option<u64>,
    patience: Patience,
    deadline: Deadline,
    /// The service waits for the client, not the client for the service.
    awaited: bool,
    /// The last of content whose length is known, until its end has come too.
    last: Option<Bytes>,
    /// Until the end has come: nothing may follow them.
    trailers: Option<HeaderMap>,
    ended: bool,
    _open: Open,
}

/// What stands in the way of content.
#[derive(Clone, Copy)]
enum Unread {
    /// It is malformed.
    Malformed(&'static str),
    Broken(&'static str),
}

impl Content {
    pub(super) fn new(
        receiving: RequestStream,
        first: Option<Event>,
        length: Option<u64>,
        malformed: Arc<Malformed>,
        connection: &Arc<Connection>,
        fields: &HeaderMap,
        interim: &Arc<Interim>,
    ) -> Self {
        let expects =
            fields.get(EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        connection.streams.set_unread(true);
        Self {
            receiving,
            first,
            malformed,
            expecting: expects.then(|| Arc::clone(interim)),
            left: length,
            patience: Patience::new(),
            deadline: Deadline::default(),
            awaited: false,
            last: None,
            trailers: None,
            ended: false,
            _open: Open::begin(&connection.streams),
            connection: Arc::clone(connection),
        }
    }

    /// Nothing more comes of it.
    fn end(&mut self) {
        (self.ended, self.last, self.trailers) = (true, None, None);
    }

    /// Somebody waits for the client, or nothing more is to come from it.
    fn set_awaited(&mut self, awaited: bool) {
        if self.awaited != awaited {
            self.awaited = awaited;
            self.connection.streams.set_unread(!awaited);
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Unread>> {
        let contradicts = Unread::Malformed(Fault::ContentLength.token());
        while !self.ended {
            let event = match self.first.take() {
                Some(event) => Ok(event),
                None => ready!(self.receiving.poll_event(cx)),
            };
            let event = event.map_err(|broken| match broken {
                Broken::TooLarge => Unread::Broken(Fault::Trailers.token()),
                Broken::Incomplete | Broken::Gone => Unread::Broken("content_incomplete"),
            })?;
            match event {
                Event::Data(data) => {
                    self.patience.progress(data.len());
                    let Some(left) = &mut self.left else {
                        return Poll::Ready(Ok(Some(Frame::data(data))));
                    };
                    *left = left.checked_sub(data.len() as u64).ok_or(contradicts)?;
                    if *left > 0 {
                        return Poll::Ready(Ok(Some(Frame::data(data))));
                    }
                    if !data.is_empty() {
                        // Whoever reads may look no further: more would go unnoticed.
                        self.last = Some(data);
                    }
                }
                Event::Section(_) | Event::End if self.left.is_some_and(|left| left > 0) => {
                    return Poll::Ready(Err(contradicts));
                }
                Event::Section(block) => self.trailers = Some(self.read_trailers(&block)?),
                Event::End => self.ended = true,
            }
        }
        let last = self.last.take().map(Frame::data);
        Poll::Ready(Ok(last.or_else(|| self.trailers.take().map(Frame::trailers))))
    }

    fn read_trailers(&self, block: &Bytes) -> Result<HeaderMap, Unread> {
        let too_large = Unread::Broken(Fault::Trailers.token());
        let section = match qpack::decode(block, self.connection.section_limit) {
            Ok(section) => section,
            Err(Unreadable::TooLarge) => return Err(too_large),
            Err(Unreadable::Broken) => {
                self.connection.fail(Code::QpackDecompressionFailed, "qpack");
                return Err(Unread::Broken("content_incomplete"));
            }
        };
        let size: usize = section.iter().map(|f| f.name.len() + f.value.len() + 4).sum();
        if size > TRAILERS_LIMIT {
            return Err(too_large);
        }
        sections::trailers(section).map_err(|_| Unread::Malformed(Fault::Trailers.token()))
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
            let next = match next {
                Ok(frame) => frame.map(Ok),
                Err(Unread::Broken(why)) => {
                    this.end();
                    Some(Err(failed(why)))
                }
                Err(Unread::Malformed(why)) => {
                    this.end();
                    this.receiving.stop(Code::MessageError);
                    this.malformed.found();
                    Some(Err(failed(why)))
                }
            };
            // What has ended takes no room in the window any more, however long it is held.
            this.set_awaited(this.ended);
            return Poll::Ready(next);
        }
        if let Some(interim) = expecting {
            interim.send_continue();
        }
        this.set_awaited(true);
        ready!(this.poll_slow(cx));
        this.end();
        let slow = failed("content_too_slow").with_status(StatusCode::REQUEST_TIMEOUT);
        Poll::Ready(Some(Err(slow)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.last.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.last.as_ref().map_or(0, Bytes::len) as u64;
        self.left.map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + held))
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if !self.awaited {
            self.connection.streams.set_unread(false);
        }
    }
}
