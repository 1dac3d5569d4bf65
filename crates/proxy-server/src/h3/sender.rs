//! Our part of a request stream. Dropped before its end it is broken off: a message that is cut
//! short must never look whole, which is what quinn would make of it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proxy_core::deadline::Deadline;
use quinn::SendStream;
use tokio::time::{Instant, timeout};

use super::code::Code;
use super::frames::{frame_head, kind};
use super::qpack::Section;
use super::{Connection, SEND_WINDOW};
use crate::patience::Patience;

/// What is written and not yet acknowledged must go at this rate, once a response has ended.
const LAST_RATE: u64 = 8 * 1024;

/// Why no more can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The client does not want it, or its connection has gone.
    Gone,
    /// The client took nothing for too long, or too little.
    Stalled,
    /// It is more than the client reads: its limit of field sections.
    TooLarge,
}

type Stopped = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

pub(super) struct Sender {
    stream: SendStream,
    /// Done when the client stops the stream, has all of it, or is gone.
    stopped: Option<Stopped>,
    connection: Arc<Connection>,
    patience: Patience,
    deadline: Deadline,
    /// What the connection had sent when this stream looked last.
    seen: u64,
    ended: bool,
    /// Of a tunnel, which has its own times.
    tunnel: bool,
}

impl Sender {
    pub(super) fn new(stream: SendStream, connection: Arc<Connection>) -> Self {
        let stopped = stream.stopped();
        Self {
            stream,
            stopped: Some(Box::pin(async move { drop(stopped.await) })),
            patience: Patience::new(),
            deadline: Deadline::default(),
            seen: connection.moved.load(Ordering::Acquire),
            connection,
            ended: false,
            tunnel: false,
        }
    }

    /// From here on the client may take its time.
    pub(super) fn become_tunnel(&mut self) {
        self.tunnel = true;
    }

    pub(super) fn set_priority(&self, priority: i32) {
        if priority != 0 {
            // Fails only where the stream is gone.
            let _ = self.stream.set_priority(priority);
        }
    }

    /// Ready once the client wants no more of it, or has all of it.
    pub(super) fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(stopped) = &mut self.stopped {
            ready!(stopped.as_mut().poll(cx));
            self.stopped = None;
        }
        Poll::Ready(())
    }

    /// Sends the head of a response, final or interim.
    pub(super) async fn head(
        &mut self,
        status: StatusCode,
        fields: &HeaderMap,
    ) -> Result<(), Unsent> {
        let mut section = Section::new();
        section.add(":status", status.as_str().as_bytes(), false);
        self.section(section, fields).await
    }

    /// Sends trailers.
    pub(super) async fn trailers(&mut self, fields: &HeaderMap) -> Result<(), Unsent> {
        self.section(Section::new(), fields).await
    }

    async fn section(&mut self, mut section: Section, fields: &HeaderMap) -> Result<(), Unsent> {
        for (name, value) in fields {
            section.add(name.as_str(), value.as_bytes(), value.is_sensitive());
        }
        if section.size() as u64 > self.connection.peer_limit() {
            return Err(Unsent::TooLarge);
        }
        let block = section.into_block();
        let head = frame_head(kind::HEADERS, block.len());
        self.write(head, block.into()).await
    }

    /// Sends content.
    pub(super) async fn data(&mut self, data: Bytes) -> Result<(), Unsent> {
        if data.is_empty() {
            return Ok(());
        }
        self.write(frame_head(kind::DATA, data.len()), data).await
    }

    async fn write(&mut self, head: Bytes, rest: Bytes) -> Result<(), Unsent> {
        let mut left = [head, rest];
        while left.iter().any(|part| !part.is_empty()) {
            poll_fn(|cx| self.poll_write(cx, &mut left)).await?;
        }
        Ok(())
    }

    /// Writes what there is room for; what is written is taken out of `left`.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        left: &mut [Bytes],
    ) -> Poll<Result<(), Unsent>> {
        // Asked anew each time, as when reading.
        match pin!(self.stream.write_chunks(left)).poll(cx) {
            Poll::Ready(Ok(written)) => {
                let bytes = written.bytes as u64;
                let moved = self.connection.moved.fetch_add(bytes, Ordering::AcqRel) + bytes;
                self.patience.progress(usize::try_from(moved - self.seen).unwrap_or(usize::MAX));
                self.seen = moved;
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Unsent::Gone)),
            Poll::Pending if self.tunnel => return Poll::Pending,
            Poll::Pending => {}
        }
        let settings = &self.connection.edge.settings;
        let write = settings.timeouts.write;
        loop {
            let by_rate = self.patience.wait(write, settings.min_rate);
            let since = self.patience.waiting_since().unwrap_or_else(Instant::now);
            self.deadline.set(by_rate.min(since + write));
            ready!(self.deadline.poll(cx));
            // The streams of a connection share its line: what others got counts for the rate, but
            // as they take turns none may get nothing at all.
            let moved = self.connection.moved.load(Ordering::Acquire);
            if moved == self.seen || Instant::now() >= since + write {
                return Poll::Ready(Err(Unsent::Stalled));
            }
            self.patience.earn(moved - self.seen);
            self.seen = moved;
        }
    }

    /// Ends the message.
    pub(super) fn finish(&mut self) {
        self.ended = true;
        // Fails only where the client has stopped it.
        let _ = self.stream.finish();
    }

    /// Breaks the message off.
    pub(super) fn reset(&mut self, code: Code) {
        if !self.ended {
            self.ended = true;
            // Fails only where the stream is gone.
            let _ = self.stream.reset(code.into());
        }
    }

    /// Waits until the client has all of a message that has ended, so that the connection is not
    /// closed above it. False: it takes too long, and the rest is dropped.
    pub(super) async fn acknowledged(mut self) -> bool {
        let within = self.connection.edge.settings.timeouts.write
            + Duration::from_secs(SEND_WINDOW / LAST_RATE);
        let in_time = timeout(within, poll_fn(|cx| self.poll_stopped(cx))).await.is_ok();
        if !in_time {
            let _ = self.stream.reset(Code::RequestCancelled.into());
        }
        in_time
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.reset(Code::InternalError);
    }
}
