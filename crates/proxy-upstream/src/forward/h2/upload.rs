//! The request content on its way to an origin: never more than its windows take.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderName;
use http_body::{Body as _, Frame};
use proxy_core::deadline::Deadline;
use proxy_core::fields::remove_forbidden_trailers;
use proxy_core::{Body, BoxError, ErrorKind, ProxyError};
use tokio::time::Instant;

use super::head::END;
use super::replay::Taken;
use crate::connection::keep_announced;

/// A client that expects 100 (Continue) is not kept waiting longer by a silent upstream
/// (RFC 9110 section 10.1.1).
const EXPECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Handed over at once: what a frame of default size holds, so that streams take turns.
const PIECE: usize = 16 * 1024;

pub(super) struct Upload {
    body: Body,
    stream: SendStream<Bytes>,
    /// Taken from the client, not yet by the upstream; and whether it is the last.
    held: Option<(Bytes, bool)>,
    /// The content is not asked for until the upstream wants it.
    expecting: Option<Deadline>,
    taken: Taken,
    /// The trailer fields that `Trailer` announces.
    announced: Box<[HeaderName]>,
    done: bool,
    moved: u64,
}

impl Upload {
    pub(super) fn new(
        body: Body,
        stream: SendStream<Bytes>,
        announced: Box<[HeaderName]>,
        expects_continue: bool,
    ) -> Self {
        let expecting = (expects_continue && !body.is_empty()).then(|| {
            let mut deadline = Deadline::default();
            deadline.set(Instant::now() + EXPECT_TIMEOUT);
            deadline
        });
        let done = body.is_empty();
        let taken = Taken::default();
        Self { body, stream, held: None, expecting, taken, announced, done, moved: 0 }
    }

    /// The upstream has said 100 (Continue).
    pub(super) fn go(&mut self) {
        self.expecting = None;
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Bytes that the upstream has taken.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether it is the upstream for which we wait, and not the client's content.
    pub(super) fn waits_for_upstream(&self) -> bool {
        self.done || self.held.is_some()
    }

    /// The content from its beginning, if that is still there.
    pub(super) fn restore(self) -> Option<Body> {
        self.taken.restore(self.body)
    }

    /// Moves what can be moved. Ready: all was handed over, or the origin wants no more of it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        if let Some(deadline) = &mut self.expecting {
            ready!(deadline.poll(cx));
            self.expecting = None;
        }
        while !self.done {
            // What a reset means is told to whoever waits for the response.
            if self.stream.poll_reset(cx).is_ready() {
                self.done = true;
                break;
            }
            if self.held.is_some() {
                ready!(self.poll_send(cx));
                continue;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => {
                    self.done = true;
                    let _ = self.stream.send_data(END, true);
                }
                Some(Ok(frame)) => self.take(frame),
                Some(Err(error)) => {
                    self.taken.lose();
                    self.done = true;
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(own(&error)));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) => {
                self.taken.piece(&data);
                self.held = Some((data, self.body.is_end_stream()));
            }
            Err(frame) => {
                let Ok(mut trailers) = frame.into_trailers() else { return };
                // As over HTTP/1.1: what is not announced was judged by nobody.
                remove_forbidden_trailers(&mut trailers);
                keep_announced(&mut trailers, &self.announced);
                self.taken.lose();
                self.done = true;
                // A failure is told to whoever waits for the response, as all of them.
                let _ = if trailers.is_empty() {
                    self.stream.send_data(END, true)
                } else {
                    self.stream.send_trailers(trailers)
                };
            }
        }
    }

    /// Ready once something of what is held was handed over, or nobody takes it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((data, last)) = &mut self.held else { return Poll::Ready(()) };
        if !data.is_empty() {
            self.stream.reserve_capacity(data.len().min(PIECE));
            while self.stream.capacity() == 0 {
                if !matches!(ready!(self.stream.poll_capacity(cx)), Some(Ok(_))) {
                    self.done = true;
                    return Poll::Ready(());
                }
            }
        }
        let piece = data.split_to(data.len().min(PIECE).min(self.stream.capacity()));
        self.moved += piece.len() as u64;
        let (whole, last) = (data.is_empty(), *last);
        if whole {
            self.held = None;
        }
        let sent = self.stream.send_data(piece, whole && last);
        self.done = sent.is_err() || (whole && last);
        Poll::Ready(())
    }

    /// Sends the rest while the response is on its way, or behind it. It ends when nothing has
    /// moved for `idle`. What it holds is held as long.
    pub(super) async fn finish<H: Send>(mut self, idle: Duration, holds: H) {
        self.taken.lose();
        let mut deadline = Deadline::default();
        let mut moved = 0;
        std::future::poll_fn(|cx| {
            if self.poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if !self.waits_for_upstream() {
                deadline.clear();
            } else if !deadline.is_set() || self.moved != moved {
                moved = self.moved;
                deadline.set_in(idle);
            }
            deadline.poll(cx)
        })
        .await;
        drop(holds);
    }
}

/// What the client's content failed of.
fn own(error: &BoxError) -> ProxyError {
    match ProxyError::find(error.as_ref()) {
        None => ProxyError::new(ErrorKind::HttpRequestError),
        Some(found) => {
            let own = ProxyError::new(found.kind()).with_status(found.status());
            match found.detail_str() {
                Some(detail) => own.detail(detail),
                None => own,
            }
        }
    }
}
