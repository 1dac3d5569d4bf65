//! `Link`: what the three parties of a connection tell each other: `ClientIo` under hyper, the
//! service above it, and whoever relays interim responses.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proxy_core::{InterimSink, fields};

use crate::tunnel::TunnelUpstream;

/// Interim responses that one exchange may relay.
const MAX_INTERIM: u8 = 32;

/// Where the exchange of the moment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// None is open: the next head may be given to hyper.
    Idle = 0,
    /// A head was given to hyper; its answer is not whole.
    Active = 1,
    /// The answer is whole but perhaps not flushed.
    Finishing = 2,
}

#[derive(Debug, Default)]
pub(super) struct Link {
    stage: AtomicU8,
    parking: AtomicBool,
    /// Part of a head has come.
    within_head: AtomicBool,
    /// The head given to hyper asks about the server as a whole.
    asterisk: AtomicBool,
    /// The answer broke off, and only a reset tells its reader so.
    abort: AtomicBool,
    /// The answer of the moment is the last on this connection.
    last: AtomicBool,
    /// A broken answer waits until what came before is written.
    awaits_flush: AtomicBool,
    /// Set while the queue may hold something, so that others pay one load.
    interim_queued: AtomicBool,
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: VecDeque<Bytes>,
    sent: u8,
    takes_interim: bool,
    waker: Option<Waker>,
    tunnel: Option<Box<TunnelUpstream>>,
}

impl Link {
    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Idle,
            1 => Stage::Active,
            _ => Stage::Finishing,
        }
    }

    /// A head goes to hyper.
    pub(super) fn begin(&self) {
        self.stage.store(Stage::Active as u8, Ordering::Release);
    }

    /// The answer's body has ended, or was dropped.
    pub(super) fn finish(&self) {
        self.stage.store(Stage::Finishing as u8, Ordering::Release);
    }

    /// Everything is flushed.
    pub(super) fn idle(&self) {
        self.stage.store(Stage::Idle as u8, Ordering::Release);
    }

    pub(super) fn set_within_head(&self, within: bool) {
        self.within_head.store(within, Ordering::Release);
    }

    /// Whether the connection may be told to close: not while a request is arriving.
    pub(super) fn may_shut_down(&self) -> bool {
        self.stage() != Stage::Idle || !self.within_head.load(Ordering::Acquire)
    }

    pub(super) fn set_asterisk(&self, asterisk: bool) {
        if asterisk {
            self.asterisk.store(true, Ordering::Release);
        }
    }

    pub(super) fn take_asterisk(&self) -> bool {
        self.asterisk.load(Ordering::Acquire) && self.asterisk.swap(false, Ordering::AcqRel)
    }

    pub(super) fn set_abort(&self) {
        self.abort.store(true, Ordering::Release);
    }

    pub(super) fn wants_abort(&self) -> bool {
        self.abort.load(Ordering::Acquire)
    }

    pub(super) fn set_last(&self) {
        self.last.store(true, Ordering::Release);
    }

    pub(super) fn is_last(&self) -> bool {
        self.last.load(Ordering::Acquire)
    }

    pub(super) fn await_flush(&self) {
        self.awaits_flush.store(true, Ordering::Release);
    }

    pub(super) fn awaits_flush(&self) -> bool {
        self.awaits_flush.load(Ordering::Acquire)
    }

    /// Everything hyper held is written. True where somebody waited for it.
    pub(super) fn flushed(&self) -> bool {
        self.awaits_flush() && self.awaits_flush.swap(false, Ordering::AcqRel)
    }

    pub(super) fn park(&self) {
        self.parking.store(true, Ordering::Release);
    }

    pub(super) fn wants_parking(&self) -> bool {
        self.parking.load(Ordering::Acquire)
    }

    /// Opens the queue for the next exchange; HTTP/1.0 knows no interim responses.
    pub(super) fn open_interim(&self, takes_interim: bool) {
        let mut shared = self.lock();
        shared.queue.clear();
        shared.sent = 0;
        shared.takes_interim = takes_interim;
    }

    /// Closes it: the final response is on its way.
    pub(super) fn close_interim(&self) {
        self.lock().takes_interim = false;
    }

    pub(super) fn has_interim(&self) -> bool {
        self.interim_queued.load(Ordering::Acquire)
    }

    /// The first queued head, to be written.
    pub(super) fn next_interim(&self) -> Option<Bytes> {
        let shared = self.lock();
        let next = shared.queue.front().cloned();
        if next.is_none() {
            self.interim_queued.store(false, Ordering::Release);
        }
        next
    }

    /// `n` bytes of the first queued head are written.
    pub(super) fn interim_written(&self, n: usize) {
        let mut shared = self.lock();
        if let Some(front) = shared.queue.front_mut() {
            let _ = front.split_to(n.min(front.len()));
            if front.is_empty() {
                shared.queue.pop_front();
            }
        }
        if shared.queue.is_empty() {
            self.interim_queued.store(false, Ordering::Release);
        }
    }

    /// The connection's task, to be woken when an interim response comes.
    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut shared = self.lock();
        if !shared.waker.as_ref().is_some_and(|w| w.will_wake(waker)) {
            shared.waker = Some(waker.clone());
        }
    }

    pub(super) fn set_tunnel(&self, tunnel: Box<TunnelUpstream>) {
        self.lock().tunnel = Some(tunnel);
    }

    pub(super) fn take_tunnel(&self) -> Option<Box<TunnelUpstream>> {
        self.lock().tunnel.take()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InterimSink for Link {
    fn send(&self, status: StatusCode, interim: &HeaderMap) -> bool {
        // 100 is hyper's to send, when the content is first asked for; 101 is no interim.
        if !status.is_informational() || matches!(status.as_u16(), 100 | 101) {
            return false;
        }
        let mut shared = self.lock();
        if !shared.takes_interim || shared.sent >= MAX_INTERIM {
            return false;
        }
        shared.sent += 1;
        shared.queue.push_back(encode(status, interim));
        self.interim_queued.store(true, Ordering::Release);
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
        true
    }
}

fn encode(status: StatusCode, interim: &HeaderMap) -> Bytes {
    let mut interim = interim.clone();
    fields::remove_hop_by_hop(&mut interim);
    interim.remove(http::header::CONTENT_LENGTH);
    let reason = status.canonical_reason().unwrap_or("");
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in &interim {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    Bytes::from(head)
}
