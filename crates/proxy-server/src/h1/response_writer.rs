//! What goes out: heads, content in its coding, and how long the client may take to accept it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use proxy_core::deadline::Deadline;
use proxy_core::framing::{write_chunk_size, write_last_chunk};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::end::{End, WRITE_TIMEOUT};
use super::response_head::Coding;
use crate::patience::Patience;
use crate::settings::EdgeSettings;

/// Pieces up to this size are copied behind the head: one plain write is cheaper than a vectored
/// one of two parts.
const COPIED: usize = 4 * 1024;
/// With this much waiting, no more content is asked for.
const ENOUGH: usize = 64 * 1024;
/// Parts of one vectored write.
const PARTS: usize = 16;

/// The bytes on their way to the client.
#[derive(Debug)]
pub(super) struct ResponseWriter {
    /// Large pieces, and what came before them.
    parts: VecDeque<Bytes>,
    /// Bytes of `parts`.
    held: usize,
    /// What comes behind the parts.
    tail: BytesMut,
    /// What was written may still be within a layer of the transport, such as TLS.
    unflushed: bool,
    waiting: Deadline,
    taking: Patience,
}

/// The content ends before its announced length.
#[derive(Debug)]
pub(super) struct TooShort;

impl ResponseWriter {
    pub(super) fn new() -> Self {
        Self {
            parts: VecDeque::new(),
            held: 0,
            tail: BytesMut::new(),
            unflushed: false,
            waiting: Deadline::default(),
            taking: Patience::new(),
        }
    }

    /// A new exchange: the client's patience with us, and ours with it, begin anew.
    pub(super) fn begin(&mut self) {
        self.taking = Patience::new();
    }

    /// Where heads are written.
    pub(super) fn tail(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Nothing is left to be written or flushed.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_unwritten() && !self.unflushed
    }

    fn has_unwritten(&self) -> bool {
        !self.tail.is_empty() || !self.parts.is_empty()
    }

    /// Whether more content may come.
    pub(super) fn has_room(&self) -> bool {
        self.held + self.tail.len() < ENOUGH && self.parts.len() < PARTS - 1
    }

    /// Adds content in its coding. Nothing goes out beyond an announced length.
    pub(super) fn data(&mut self, coding: &mut Coding, mut data: Bytes) {
        match coding {
            Coding::Length(left) => {
                data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data.len() as u64;
                self.push(data);
            }
            Coding::Chunked(_) if !data.is_empty() => {
                write_chunk_size(&mut self.tail, data.len());
                self.push(data);
                self.tail.put_slice(b"\r\n");
            }
            Coding::Chunked(_) => {}
            Coding::UntilClose => self.push(data),
        }
    }

    /// Ends the content. Of the trailer fields those go out that were announced.
    pub(super) fn end(
        &mut self,
        coding: &Coding,
        trailers: Option<HeaderMap>,
    ) -> Result<(), TooShort> {
        match coding {
            Coding::Length(0) | Coding::UntilClose => Ok(()),
            Coding::Length(_) => Err(TooShort),
            Coding::Chunked(announced) => {
                let mut fields = HeaderMap::new();
                let mut last = None;
                for (name, value) in trailers.into_iter().flatten() {
                    // Further values of a name come without it.
                    last = name.or(last);
                    if let Some(name) = last.as_ref().filter(|name| announced.contains(name)) {
                        fields.append(name, value);
                    }
                }
                write_last_chunk(&mut self.tail, &fields);
                Ok(())
            }
        }
    }

    fn push(&mut self, data: Bytes) {
        if data.len() <= COPIED {
            self.tail.extend_from_slice(&data);
            return;
        }
        if !self.tail.is_empty() {
            self.held += self.tail.len();
            self.parts.push_back(self.tail.split().freeze());
        }
        self.held += data.len();
        self.parts.push_back(data);
    }

    /// Writes all there is. An error ends the conversation.
    pub(super) fn poll_flush<T: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut T,
        settings: &EdgeSettings,
    ) -> Poll<Result<(), End>> {
        while self.has_unwritten() {
            let poll = match self.parts.is_empty() {
                true => Pin::new(&mut *io).poll_write(cx, &self.tail),
                false => self.poll_write_parts(cx, io),
            };
            match poll {
                Poll::Ready(Ok(1..)) => {
                    let Poll::Ready(Ok(n)) = poll else { continue };
                    self.taking.progress(n);
                    self.unflushed = true;
                    self.advance(n);
                }
                Poll::Ready(_) => return Poll::Ready(Err(End::Closed)),
                Poll::Pending => return self.poll_overdue(cx, settings).map(Err),
            }
        }
        match Pin::new(io).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                if self.taking.waiting_since().is_some() {
                    self.taking.progress(0);
                }
                self.unflushed = false;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(End::Closed)),
            Poll::Pending => self.poll_overdue(cx, settings).map(Err),
        }
    }

    /// The clock of a client that takes nothing.
    fn poll_overdue(&mut self, cx: &mut Context<'_>, settings: &EdgeSettings) -> Poll<End> {
        let by_rate = self.taking.wait(settings.timeouts.write, settings.min_rate);
        let since = self.taking.waiting_since().unwrap_or_else(Instant::now);
        self.waiting.set(by_rate.min(since + settings.timeouts.write));
        self.waiting.poll(cx).map(|()| End::TimedOut(WRITE_TIMEOUT))
    }

    fn poll_write_parts<T: AsyncWrite + Unpin>(
        &self,
        cx: &mut Context<'_>,
        io: &mut T,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); PARTS];
        let mut n = 0;
        for part in self.parts.iter().map(|part| &part[..]).chain([&self.tail[..]]).take(PARTS) {
            slices[n] = IoSlice::new(part);
            n += 1;
        }
        Pin::new(io).poll_write_vectored(cx, &slices[..n])
    }

    /// `n` bytes are written.
    fn advance(&mut self, mut n: usize) {
        while let Some(part) = self.parts.front_mut() {
            let of_part = n.min(part.len());
            part.advance(of_part);
            self.held -= of_part;
            n -= of_part;
            if !part.is_empty() {
                return;
            }
            self.parts.pop_front();
        }
        // Clearing keeps all of its room.
        match n == self.tail.len() {
            true => self.tail.clear(),
            false => self.tail.advance(n),
        }
    }
}

#[cfg(test)]
mod tests;
