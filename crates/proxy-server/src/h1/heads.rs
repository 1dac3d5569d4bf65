//! Reading request heads, and the clock of a connection that waits for one.

use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::{Request, StatusCode};
use proxy_core::deadline::from_now;
use proxy_core::framing::{EMPTY_LINES, RequestHeadInfo};
use proxy_core::{ContentFramer, Fault, HeadScan};
use tokio::time::Instant;

use super::end::{End, Refused};
use super::wire::{Phase, READ_SIZE, Wire};
use crate::patience::Patience;
use crate::transport::Transport;

/// Fields that layers add to a request, so that its map need not grow.
const ADDED_FIELDS: usize = 8;

/// A request without its content.
pub(super) struct Head {
    pub(super) request: Request<()>,
    pub(super) info: RequestHeadInfo,
}

fn refused(status: StatusCode, reason: &'static str) -> End {
    End::Refused(Refused { status, reason })
}

fn fault(fault: Fault) -> End {
    refused(fault.request_status(), fault.token())
}

impl<T: Transport> Wire<T> {
    /// The next head. An error is the end of the conversation.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, End>> {
        let poll = self.poll_next_head(cx);
        if let Poll::Ready(Err(end)) = &poll
            && !matches!(end, End::Parked)
        {
            self.phase = Phase::Over;
            self.reading.clear();
        }
        poll
    }

    fn poll_next_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, End>> {
        let mut begun = false;
        loop {
            self.skip_empty_lines()?;
            // A lone CR may be half of an empty line, which the framer must not see begin.
            if !self.buffer.is_empty() && *self.buffer != *b"\r" {
                match self.framer.scan_request(&self.buffer).map_err(fault)? {
                    HeadScan::Complete(info) => return Poll::Ready(self.begin(info)),
                    HeadScan::Partial => self.within_head = true,
                }
            }
            // A head that comes in one piece, as most do, starts no clock.
            if begun && !self.buffer.is_empty() {
                self.reading.set_in(self.edge.settings.timeouts.header);
            }
            begun = self.buffer.is_empty();
            match self.poll_fill(cx, READ_SIZE) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(End::Closed)),
                Poll::Ready(Ok(_)) => self.silent = false,
                Poll::Pending => return self.poll_head_deadline(cx).map(Err),
            }
        }
    }

    /// A head is whole: takes it off the buffer.
    fn begin(&mut self, info: RequestHeadInfo) -> Result<Head, End> {
        self.buffer.advance(info.skip);
        let head = self.buffer.split_to(info.len).freeze();
        let request = self.framer.request(&head, ADDED_FIELDS).map_err(fault)?;
        self.reading.clear();
        self.keep_alive_until = None;
        self.empty_lines = 0;
        self.within_head = false;
        let content = ContentFramer::new(info.framing);
        self.phase = match info.connect {
            true => Phase::Connect,
            false if content.is_end() => Phase::Head,
            false => {
                self.content = Patience::new();
                self.abandoned = false;
                self.continue_wanted = false;
                self.trailers.clear();
                // HTTP/1.0 knows no interim responses (RFC 9110 section 10.1.1).
                self.expects_continue = info.expects_continue && !info.version_10;
                Phase::Content(content)
            }
        };
        Ok(Head { request, info })
    }

    /// Drops empty lines between messages: some clients send one behind content. They begin no
    /// head, so no clock starts.
    fn skip_empty_lines(&mut self) -> Result<(), End> {
        while !self.framer.is_within_head() && self.buffer.starts_with(b"\r\n") {
            self.empty_lines += 1;
            if self.empty_lines > EMPTY_LINES {
                return Err(fault(Fault::EmptyLines));
            }
            self.buffer.advance(2);
        }
        Ok(())
    }

    /// The clock of a connection that waits for a head, or for the rest of one.
    fn poll_head_deadline(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let timeouts = &self.edge.settings.timeouts;
        if self.buffer.is_empty() && !self.reading.is_set() {
            if self.silent {
                self.reading.set_in(timeouts.first_byte);
            } else {
                self.keep_alive_until = Some(from_now(timeouts.keep_alive));
                self.reading.set_in(timeouts.park_after.min(timeouts.keep_alive));
            }
        } else if !self.reading.is_set() {
            // The head began with bytes that were read along with the message before.
            self.reading.set_in(timeouts.header);
        }
        ready!(self.reading.poll(cx));
        self.reading.clear();
        Poll::Ready(if !self.buffer.is_empty() {
            refused(StatusCode::REQUEST_TIMEOUT, "header_timeout")
        } else {
            match self.keep_alive_until {
                Some(until) if Instant::now() < until => End::Parked,
                Some(_) => End::Closed,
                None => End::TimedOut("first_byte"),
            }
        })
    }
}
