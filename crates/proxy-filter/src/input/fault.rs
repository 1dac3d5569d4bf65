//! What is wrong with a request, and how a body tells it to the future.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use http::StatusCode;
use proxy_core::{BoxError, ErrorKind, ProxyError, Refusal};

/// A status and a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) u16, pub(crate) &'static str);

impl Fault {
    fn status(self) -> StatusCode {
        StatusCode::from_u16(self.0).unwrap_or(StatusCode::BAD_REQUEST)
    }

    /// The refusal. `close`: content was left unread.
    pub(crate) fn refusal(self, close: bool) -> Refusal {
        let refusal = Refusal::new(self.status(), self.1).rule(format!("input.{}", self.1));
        if close { refusal.close() } else { refusal }
    }

    /// The error that breaks content off.
    pub(crate) fn error(self) -> BoxError {
        let error = ProxyError::new(ErrorKind::HttpRequestError).with_status(self.status());
        error.detail(self.1).into()
    }
}

/// The place where a body leaves its fault. A clone is the same place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict(Arc<Mutex<(Option<Fault>, Option<Waker>)>>);

impl Verdict {
    /// Leaves it, and wakes the future: the body may be read by another task.
    pub(crate) fn leave(&self, fault: Fault) {
        let waker = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.0 = Some(fault);
            slot.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The fault; where there is none yet, `waker` is woken by one.
    pub(crate) fn look(&self, waker: &Waker) -> Option<Fault> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.0.is_none() {
            match &mut slot.1 {
                Some(own) => own.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
        slot.0
    }
}
