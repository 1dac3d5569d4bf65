//! Wakes everyone who waits for one thing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// A waker that stands for many: what several tasks wait for is polled by whichever of them runs,
/// and each of them must hear of it, because any of them may have stopped listening.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    waiting: Mutex<Vec<Waker>>,
    /// Woken since it was last polled.
    woken: AtomicBool,
}

impl Wakers {
    /// Wakes every task that waits.
    pub(crate) fn wake_all(&self) {
        self.woken.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut *self.lock());
        for waker in waiting {
            waker.wake();
        }
    }

    /// Adds a task. Call it before looking at what it waits for.
    pub(crate) fn add(&self, cx: &Context<'_>) {
        let mut waiting = self.lock();
        if !waiting.iter().rev().take(4).any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }

    /// Whether there was a wake-up since the last call. Where there was none, polling again would
    /// be for nothing.
    pub(crate) fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
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
