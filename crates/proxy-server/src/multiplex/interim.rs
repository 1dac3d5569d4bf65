//! Interim responses of one stream, on their way from whoever relays them to the client.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response, StatusCode};
use proxy_core::{InterimSink, fields};

/// Interim responses that one exchange may relay.
const MAX_INTERIM: u8 = 32;

#[derive(Debug, Default)]
pub(crate) struct Interim {
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: VecDeque<Response<()>>,
    sent: u8,
    closed: bool,
    waker: Option<Waker>,
}

impl Interim {
    /// The next one to be sent; where there is none the waker is kept.
    pub(crate) fn next(&self, waker: &Waker) -> Option<Response<()>> {
        let mut shared = self.lock();
        let next = shared.queue.pop_front();
        if next.is_none() && !shared.waker.as_ref().is_some_and(|w| w.will_wake(waker)) {
            shared.waker = Some(waker.clone());
        }
        next
    }

    /// The final response is on its way. True: some still wait, which go before it.
    pub(crate) fn close(&self) -> bool {
        let mut shared = self.lock();
        shared.closed = true;
        !shared.queue.is_empty()
    }

    /// The content is wanted: a client that waits for 100 (Continue) hears it.
    pub(crate) fn send_continue(&self) {
        self.push(StatusCode::CONTINUE, HeaderMap::new());
    }

    fn push(&self, status: StatusCode, fields: HeaderMap) -> bool {
        let mut shared = self.lock();
        if shared.closed || shared.sent >= MAX_INTERIM {
            return false;
        }
        shared.sent += 1;
        let mut interim = Response::new(());
        *interim.status_mut() = status;
        *interim.headers_mut() = fields;
        shared.queue.push_back(interim);
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InterimSink for Interim {
    fn send(&self, status: StatusCode, interim: &HeaderMap) -> bool {
        // 100 is ours to send, when the content is first asked for; HTTP/2 and HTTP/3 have no 101.
        if !status.is_informational() || matches!(status.as_u16(), 100 | 101) {
            return false;
        }
        let mut interim = interim.clone();
        fields::remove_hop_by_hop(&mut interim);
        interim.remove(CONTENT_LENGTH);
        self.push(status, interim)
    }
}
