//! `OriginLink`: what a connection to an origin and the request on it tell each other.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use proxy_core::InterimSink;

/// A request was sent and its response is not whole.
const ANSWERING: u32 = 1;
/// The request is HEAD: its response has no content.
const TO_HEAD: u32 = 2;
/// Some byte of the request was written.
const WROTE: u32 = 4;
/// Some byte of the response was read.
const FIRST_BYTE: u32 = 8;
/// The head of the final response was read.
const FINAL_HEAD: u32 = 16;
/// The peer does not take what is written.
const WRITE_BLOCKED: u32 = 32;
/// The request is written, its content included.
const REQUEST_DONE: u32 = 64;
/// 100 (Continue) came.
const CONTINUES: u32 = 128;
/// No further request may be sent.
const POISONED: u32 = 256;
/// The response of the moment is unsound.
const FAULTY: u32 = 512;

#[derive(Default)]
pub(crate) struct OriginLink {
    flags: AtomicU32,
    written: AtomicU64,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    interim: Option<Arc<dyn InterimSink>>,
    /// Of the request content that waits for 100 (Continue).
    content_waker: Option<Waker>,
}

impl OriginLink {
    /// A new request; `has_content`: its content is still to be read.
    pub(crate) fn begin(
        &self,
        to_head: bool,
        has_content: bool,
        interim: Option<Arc<dyn InterimSink>>,
    ) {
        let mut flags = ANSWERING;
        if to_head {
            flags |= TO_HEAD;
        }
        if !has_content {
            flags |= REQUEST_DONE;
        }
        let poisoned = self.flags.load(Ordering::Acquire) & POISONED;
        self.flags.store(flags | poisoned, Ordering::Release);
        self.written.store(0, Ordering::Relaxed);
        let mut shared = self.lock();
        shared.interim = interim;
        shared.content_waker = None;
    }

    /// The response's content is whole.
    pub(crate) fn answered(&self) {
        self.clear(ANSWERING);
        self.lock().interim = None;
    }

    pub(crate) fn is_answering(&self) -> bool {
        self.has(ANSWERING)
    }

    pub(crate) fn is_to_head(&self) -> bool {
        self.has(TO_HEAD)
    }

    pub(crate) fn first_byte(&self) {
        if !self.has(FIRST_BYTE) {
            self.set(FIRST_BYTE);
        }
    }

    pub(crate) fn has_first_byte(&self) -> bool {
        self.has(FIRST_BYTE)
    }

    pub(crate) fn final_head(&self) {
        self.set(FINAL_HEAD);
        self.wake_content();
    }

    pub(crate) fn has_final_head(&self) -> bool {
        self.has(FINAL_HEAD)
    }

    pub(crate) fn continues(&self) {
        self.set(CONTINUES);
        self.wake_content();
    }

    /// Whether request content that waited may go: 100 (Continue) or a final response is there.
    /// Where not, the waker is kept.
    pub(crate) fn may_send_content(&self, waker: &Waker) -> bool {
        if self.has(CONTINUES | FINAL_HEAD) {
            return true;
        }
        self.lock().content_waker = Some(waker.clone());
        // What came between the two looks is not missed.
        self.has(CONTINUES | FINAL_HEAD)
    }

    pub(crate) fn wrote(&self, n: usize) {
        self.written.fetch_add(n as u64, Ordering::Relaxed);
        if !self.has(WROTE) || self.has(WRITE_BLOCKED) {
            self.flags.fetch_and(!WRITE_BLOCKED, Ordering::AcqRel);
            self.set(WROTE);
        }
    }

    pub(crate) fn has_written(&self) -> bool {
        self.has(WROTE)
    }

    /// Bytes of this request written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(crate) fn write_blocked(&self) {
        self.set(WRITE_BLOCKED);
    }

    pub(crate) fn request_done(&self) {
        self.set(REQUEST_DONE);
    }

    pub(crate) fn is_request_done(&self) -> bool {
        self.has(REQUEST_DONE)
    }

    /// Whether it is the upstream for which we wait, and not the client's content.
    pub(crate) fn waits_for_upstream(&self) -> bool {
        self.has(REQUEST_DONE | WRITE_BLOCKED)
    }

    pub(crate) fn poison(&self) {
        self.set(POISONED);
    }

    /// The response of the moment can not be completed.
    pub(crate) fn set_faulty(&self) {
        self.set(FAULTY | POISONED);
    }

    pub(crate) fn is_faulty(&self) -> bool {
        self.has(FAULTY)
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.has(POISONED)
    }

    pub(crate) fn interim(&self) -> Option<Arc<dyn InterimSink>> {
        self.lock().interim.clone()
    }

    fn wake_content(&self) {
        if let Some(waker) = self.lock().content_waker.take() {
            waker.wake();
        }
    }

    fn has(&self, any: u32) -> bool {
        self.flags.load(Ordering::Acquire) & any != 0
    }

    fn set(&self, flag: u32) {
        self.flags.fetch_or(flag, Ordering::AcqRel);
    }

    fn clear(&self, flag: u32) {
        self.flags.fetch_and(!flag, Ordering::AcqRel);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for OriginLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OriginLink({:b})", self.flags.load(Ordering::Relaxed))
    }
}
