//! How many runs there may be at a time, and who waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for runs, and a bounded queue before them. First come, first served.
#[derive(Debug)]
pub(crate) struct Slots {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

/// Leaves the queue, however.
struct Waiter<'a>(&'a AtomicUsize);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slots {
    pub(crate) fn new(runs: usize, queue: usize) -> Self {
        let places = Arc::new(Semaphore::new(runs.clamp(1, Semaphore::MAX_PERMITS)));
        Self { places, waiting: AtomicUsize::new(0), queue }
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A place, as soon as there is one.
    pub(crate) async fn take(&self) -> Result<OwnedSemaphorePermit, QueueFull> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(permit);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiter = Waiter(&self.waiting);
        if before >= self.queue {
            return Err(QueueFull);
        }
        let permit = Arc::clone(&self.places).acquire_owned().await;
        drop(waiter);
        // It is never closed.
        permit.map_err(|_| QueueFull)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_finds_the_queue_full_does_not_wait() {
        let slots = Arc::new(Slots::new(1, 1));
        let first = slots.take().await.unwrap();
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.take().await.map(drop) }
        });
        while slots.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(slots.take().await.map(drop), Err(QueueFull));
        drop(first);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!(slots.waiting(), 0);
        // One who gives up waiting leaves the queue.
        let _first = slots.take().await.unwrap();
        let mut gives_up = Box::pin(slots.take());
        assert!(proxy_testkit::poll_once(gives_up.as_mut()).is_pending());
        drop(gives_up);
        assert_eq!(slots.waiting(), 0);
    }
}
