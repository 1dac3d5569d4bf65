//! The content of a request, read from the client's socket by whoever asks for it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};
use proxy_core::framing::{ContentPiece, Framing, trailer_fields};
use proxy_core::{BoxError, ErrorKind, Fault, ProxyError};

use super::wire::{Phase, READ_SIZE, READ_SIZE_CONTENT, SharedWire, Wire, lock};
use crate::transport::Transport;

type Polled = Poll<Option<Result<Frame<Bytes>, ProxyError>>>;

/// The content of one request. It may be read, or dropped, by another task than the connection's,
/// and may outlive the response.
pub(super) struct RequestBody<T> {
    wire: SharedWire<T>,
    /// Content still to come, where it is known.
    left: Option<u64>,
    ended: bool,
}

impl<T> RequestBody<T> {
    pub(super) fn new(wire: SharedWire<T>, framing: Framing) -> Self {
        let left = match framing {
            Framing::Length(length) => Some(length),
            _ => None,
        };
        Self { wire, left, ended: false }
    }
}

impl<T: Transport> HttpBody for RequestBody<T> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let mut wire = lock(&this.wire);
        let poll = wire.poll_content(cx);
        let open = wire.has_content();
        let sleeper = match open && !wire.continue_wanted {
            true => None,
            false => wire.sleeper(),
        };
        drop(wire);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        let frame = ready!(poll);
        this.ended = !open;
        if let (Some(left), Some(Ok(frame))) = (&mut this.left, &frame)
            && let Some(data) = frame.data_ref()
        {
            *left -= data.len() as u64;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.ended => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

impl<T> Drop for RequestBody<T> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut wire = lock(&self.wire);
        wire.abandoned = true;
        wire.body_waker = None;
        let sleeper = wire.sleeper();
        drop(wire);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }
}

impl<T: Transport> Wire<T> {
    /// The next frame of the message's content.
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Polled {
        self.body_polled = true;
        let poll = self.poll_next_frame(cx);
        match &poll {
            // Also how the connection's task knows that somebody watches the socket.
            Poll::Pending => {
                if !self.body_waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                    self.body_waker = Some(cx.waker().clone());
                }
            }
            Poll::Ready(frame) => {
                self.body_waker = None;
                if matches!(frame, Some(Err(_))) {
                    // Whoever reads learns why, and the message is never completed.
                    self.phase = Phase::Over;
                    self.reading.clear();
                }
            }
        }
        poll
    }

    fn poll_next_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        if self.expects_continue {
            self.expects_continue = false;
            self.continue_wanted = true;
        }
        loop {
            let Phase::Content(framer) = &mut self.phase else {
                // The conversation is over, and the content not whole.
                return Poll::Ready(Some(Err(incomplete())));
            };
            match framer.next_piece(&self.buffer) {
                Ok(ContentPiece::Framing(0)) => {}
                Ok(ContentPiece::Framing(n)) => {
                    self.buffer.advance(n);
                    continue;
                }
                Ok(ContentPiece::Trailers(n)) => {
                    self.trailers.extend_from_slice(&self.buffer[..n]);
                    self.buffer.advance(n);
                    continue;
                }
                Ok(ContentPiece::Data(n)) => {
                    let data = self.buffer.split_to(n).freeze();
                    self.look_for_end();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(ContentPiece::End) => {
                    self.content_end();
                    return Poll::Ready(self.take_trailers().transpose());
                }
                Err(fault) => return Poll::Ready(Some(Err(unsound(fault)))),
            }
            match self.poll_fill(cx, self.content_read_size()) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Some(Err(incomplete()))),
                Poll::Ready(Ok(n)) => self.content.progress(n),
                Poll::Pending => {
                    let settings = &self.edge.settings;
                    let until = self.content.wait(settings.timeouts.body_grace, settings.min_rate);
                    self.reading.set(until);
                    ready!(self.reading.poll(cx));
                    let error = ProxyError::new(ErrorKind::HttpRequestError)
                        .with_status(StatusCode::REQUEST_TIMEOUT)
                        .detail("content_too_slow");
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    fn content_read_size(&self) -> usize {
        if self.content.bytes() > READ_SIZE as u64 { READ_SIZE_CONTENT } else { READ_SIZE }
    }

    /// Behind data: whoever takes the last of it knows that it is the last, where the end was
    /// read too. What else may be there, a fault for instance, is for the next call.
    fn look_for_end(&mut self) {
        let Phase::Content(framer) = &mut self.phase else { return };
        while !framer.is_end() {
            let mut ahead = *framer;
            let n = match ahead.next_piece(&self.buffer) {
                Ok(ContentPiece::Framing(n)) if n > 0 => n,
                // A trailer section with nothing in it.
                Ok(ContentPiece::Trailers(2)) if ahead.is_end() && self.trailers.is_empty() => 2,
                _ => return,
            };
            self.buffer.advance(n);
            *framer = ahead;
        }
        self.content_end();
    }

    fn content_end(&mut self) {
        self.phase = Phase::Head;
        self.reading.clear();
    }

    fn take_trailers(&mut self) -> Result<Option<Frame<Bytes>>, ProxyError> {
        // Nothing, or the empty line alone.
        if self.trailers.len() <= 2 {
            self.trailers.clear();
            return Ok(None);
        }
        let section = std::mem::take(&mut self.trailers).freeze();
        trailer_fields(&section).map(|fields| Some(Frame::trailers(fields))).map_err(unsound)
    }
}

fn unsound(fault: Fault) -> ProxyError {
    ProxyError::new(ErrorKind::HttpRequestError).detail(fault.token())
}

fn incomplete() -> ProxyError {
    ProxyError::new(ErrorKind::HttpRequestError).detail("content_incomplete")
}
