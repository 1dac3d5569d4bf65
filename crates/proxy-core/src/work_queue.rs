//! `WorkQueue`: work in the background, a few pieces at a time, of which only so many wait.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::{Spawn, Work};

/// A bounded queue of work that is done away from those who asked for it. A clone is the same queue.
#[derive(Clone)]
pub struct WorkQueue(Arc<Inner>);

struct Inner {
    spawn: Arc<dyn Spawn>,
    /// Done at a time.
    parallel: usize,
    /// Waiting at a time.
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    running: usize,
}

/// One of those that work.
struct Worker {
    queue: WorkQueue,
    /// Nothing was left to do. Otherwise it leaves when it is dropped, wherever that is.
    left: bool,
}

impl WorkQueue {
    /// A queue that does up to `parallel` pieces of work at a time, by
    /// [`Spawn::spawn_blocking`], and lets `capacity` wait.
    pub fn new(spawn: Arc<dyn Spawn>, parallel: usize, capacity: usize) -> Self {
        let state = Mutex::default();
        Self(Arc::new(Inner { spawn, parallel: parallel.max(1), capacity, state }))
    }

    /// Takes work, and does it soon. False where too much is waiting: it is dropped.
    pub fn push(&self, work: Work) -> bool {
        {
            let mut state = self.state();
            if state.waiting.len() >= self.0.capacity {
                return false;
            }
            state.waiting.push_back(work);
            if state.running >= self.0.parallel {
                return true;
            }
            state.running += 1;
        }
        let worker = Worker { queue: self.clone(), left: false };
        self.0.spawn.spawn_blocking(Box::new(move || worker.work()));
        true
    }

    /// Pieces of work that wait.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// One piece of work at a time: where the runtime ends, the others are not begun.
    fn work(mut self) {
        let Some(work) = self.next() else { return };
        work();
        let spawn = Arc::clone(&self.queue.0.spawn);
        spawn.spawn_blocking(Box::new(move || self.work()));
    }

    fn next(&mut self) -> Option<Work> {
        let mut state = self.queue.state();
        let next = state.waiting.pop_front();
        if next.is_none() {
            // Under the same lock: whoever pushes now begins another one.
            state.running -= 1;
            self.left = true;
        }
        next
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        // After a panic, or where the runtime has ended: without a worker the rest would wait for
        // ever.
        let rest = {
            let mut state = self.queue.state();
            state.running -= 1;
            if state.running == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() }
        };
        drop(rest);
    }
}

impl fmt::Debug for WorkQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkQueue").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}
