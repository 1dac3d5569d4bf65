//! Wakes everyone who waits for one thing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

/// A waker that stands for many: what several tasks wait for is polled by whichever of them runs,
/// and each of them must hear of it, because any of them may have stopped listening.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    waiting: Mutex<HashMap<u64, Waker>>,
    next: AtomicU64,
    /// Woken since it was last polled.
    woken: AtomicBool,
}

/// One who may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Wakers {
    /// A place for one who may wait. It is given back by [`Wakers::leave`].
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Wakes every task that waits.
    pub(crate) fn wake_all(&self) {
        self.woken.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut *self.lock());
        for waker in waiting.into_values() {
            waker.wake();
        }
    }

    /// Has a task woken. Call it before looking at what it waits for.
    pub(crate) fn wait(&self, ticket: Ticket, cx: &Context<'_>) {
        let mut waiting = self.lock();
        match waiting.get_mut(&ticket.0) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => {
                waiting.insert(ticket.0, cx.waker().clone());
            }
        }
    }

    /// Nobody waits there any longer.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let left = self.lock().remove(&ticket.0);
        // Dropped outside of the lock: it may be the last handle on a task.
        drop(left);
    }

    /// Whether there was a wake-up since the last call. Where there was none, polling again would
    /// be for nothing.
    pub(crate) fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}
