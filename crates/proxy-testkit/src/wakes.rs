//! Polling by hand, with a waker that counts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A waker that only counts how often it was woken.
///
/// ```
/// use proxy_testkit::WakeCount;
/// let wakes = WakeCount::new();
/// wakes.waker().wake();
/// assert_eq!(wakes.count(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct WakeCount(Arc<Counter>);

#[derive(Debug, Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl WakeCount {
    /// A counter at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// A waker of this counter.
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    /// How often it was woken.
    pub fn count(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    /// Polls with a waker of this counter.
    pub fn poll<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        poll(&mut Context::from_waker(&self.waker()))
    }
}

/// Polls a future once, with a waker that nobody hears.
pub fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
