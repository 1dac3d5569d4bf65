//! Requests that wait while every endpoint is at its limit.
//!
//! First come, first served, until the first has waited for [`PATIENT`]: from then on the last one
//! is served first, because those before it are likely to be given up on soon. Under lasting
//! overload so some get an answer in time, instead of none.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proxy_core::Clock;
use tokio::sync::oneshot;

/// How long the first may have waited before the last is preferred.
const PATIENT: Duration = Duration::from_millis(100);

pub(super) struct Queue {
    clock: Arc<dyn Clock>,
    most: AtomicUsize,
    waiting: AtomicUsize,
    next_id: AtomicU64,
    places: Mutex<VecDeque<Place>>,
}

#[derive(Debug)]
struct Place {
    id: u64,
    since: Instant,
    call: oneshot::Sender<()>,
}

impl Queue {
    pub(super) fn new(most: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            most: AtomicUsize::new(most),
            waiting: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            places: Mutex::default(),
        }
    }

    /// Lets so many wait from now on.
    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A place at the end; `None` where too many wait.
    pub(super) fn enter(&self) -> Option<Waiting<'_>> {
        let since = self.clock.now();
        let mut waiting = Waiting { queue: self, id: 0, since, called: None };
        waiting.again().then_some(waiting)
    }

    /// A place has become free: one that waits is called.
    pub(super) fn next(&self) {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut places = self.lock();
        loop {
            let Some(first) = places.front() else { return };
            let late = self.clock.now().saturating_duration_since(first.since) > PATIENT;
            let place = if late { places.pop_back() } else { places.pop_front() };
            self.waiting.store(places.len(), Ordering::SeqCst);
            // Whoever gave up meanwhile is passed over.
            if place.is_some_and(|place| place.call.send(()).is_ok()) {
                return;
            }
        }
    }

    /// So many places have become free at once.
    pub(super) fn call(&self, count: usize) {
        (0..count.min(self.len())).for_each(|_| self.next());
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue; given up when it is dropped.
pub(crate) struct Waiting<'a> {
    queue: &'a Queue,
    id: u64,
    since: Instant,
    called: Option<oneshot::Receiver<()>>,
}

impl Waiting<'_> {
    /// Enters, or once more in the order of its age, after it was called in vain. `false` where
    /// the queue is full.
    pub(crate) fn again(&mut self) -> bool {
        let (call, called) = oneshot::channel();
        let mut places = self.queue.lock();
        if places.len() >= self.queue.most.load(Ordering::Relaxed) {
            return false;
        }
        self.id = self.queue.next_id.fetch_add(1, Ordering::Relaxed);
        let place = Place { id: self.id, since: self.since, call };
        let older = places.partition_point(|other| other.since <= self.since);
        places.insert(older, place);
        self.queue.waiting.store(places.len(), Ordering::SeqCst);
        // What is looked at from here on was given back before anybody could see that we wait, or
        // by somebody who calls.
        fence(Ordering::SeqCst);
        self.called = Some(called);
        true
    }

    /// Whether nobody else waits.
    pub(crate) fn is_alone(&self) -> bool {
        self.queue.len() <= 1
    }

    /// Ends when it is called.
    pub(crate) async fn called(&mut self) {
        if let Some(called) = &mut self.called {
            let _ = called.await;
        }
        self.called = None;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(called) = &mut self.called else { return };
        if called.try_recv().is_ok() {
            // It was called and can not come any more: its place is for another.
            return self.queue.next();
        }
        let mut places = self.queue.lock();
        places.retain(|place| place.id != self.id);
        self.queue.waiting.store(places.len(), Ordering::SeqCst);
    }
}
