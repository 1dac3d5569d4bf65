//! The interim responses of an exchange, on their way from whoever relays them to the connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, StatusCode, Version};
use proxy_core::framing::{write_fields, write_status_line};
use proxy_core::{InterimSink, fields};

/// Interim responses that one exchange may relay.
const MAX_INTERIM: u8 = 32;

/// A queue of interim heads, opened for each exchange.
#[derive(Debug, Default)]
pub(super) struct Interim {
    /// Set while the queue may hold something, so that others pay one load.
    queued: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whole heads, one behind the other.
    heads: BytesMut,
    sent: u8,
    open: bool,
    waker: Option<Waker>,
}

impl Interim {
    /// Opens the queue for the next exchange; HTTP/1.0 knows no interim responses.
    pub(super) fn open(&self, takes_interim: bool) {
        let mut queue = self.lock();
        queue.heads.clear();
        queue.sent = 0;
        queue.open = takes_interim;
    }

    /// Closes it: the final response is on its way.
    pub(super) fn close(&self) {
        let mut queue = self.lock();
        queue.open = false;
        queue.waker = None;
    }

    /// The connection's task, to be woken when an interim response comes.
    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut queue = self.lock();
        if !queue.waker.as_ref().is_some_and(|w| w.will_wake(waker)) {
            queue.waker = Some(waker.clone());
        }
    }

    /// Moves what is queued to what is written next.
    pub(super) fn take(&self, out: &mut BytesMut) {
        if self.queued.load(Ordering::Acquire) {
            let mut queue = self.lock();
            self.queued.store(false, Ordering::Release);
            out.extend_from_slice(&queue.heads);
            queue.heads.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InterimSink for Interim {
    fn send(&self, status: StatusCode, interim: &HeaderMap) -> bool {
        // 100 is sent when the content is first asked for; 101 is no interim response.
        if !status.is_informational() || matches!(status.as_u16(), 100 | 101) {
            return false;
        }
        let mut queue = self.lock();
        if !queue.open || queue.sent >= MAX_INTERIM {
            return false;
        }
        queue.sent += 1;
        encode(&mut queue.heads, status, interim);
        self.queued.store(true, Ordering::Release);
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

fn encode(out: &mut BytesMut, status: StatusCode, interim: &HeaderMap) {
    let mut interim = interim.clone();
    fields::remove_hop_by_hop(&mut interim);
    interim.remove(http::header::CONTENT_LENGTH);
    let reason = status.canonical_reason().unwrap_or("");
    write_status_line(out, Version::HTTP_11, status, Some(reason.as_bytes()));
    write_fields(out, &interim);
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_queued_while_it_is_open() {
        let interim = Interim::default();
        let mut fields = HeaderMap::new();
        fields.insert("link", http::HeaderValue::from_static("</a>"));
        fields.insert("connection", http::HeaderValue::from_static("x"));
        let early = StatusCode::from_u16(103).expect("status");
        assert!(!interim.send(early, &fields), "not open");
        interim.open(true);
        assert!(!interim.send(StatusCode::CONTINUE, &fields));
        assert!(!interim.send(StatusCode::OK, &fields));
        for n in 0..40 {
            assert_eq!(interim.send(early, &fields), n < MAX_INTERIM);
        }
        let mut out = BytesMut::new();
        interim.take(&mut out);
        let one = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        assert_eq!(out, one.repeat(MAX_INTERIM.into()));
        out.clear();
        interim.take(&mut out);
        assert!(out.is_empty());
        interim.close();
        assert!(!interim.send(early, &fields));
    }
}
