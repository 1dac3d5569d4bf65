//! The threads that touch the disk.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Something to do on one of the threads.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// What a job is for: someone waits for a read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Read,
    Other,
}

/// A few threads and their queue. It ends with its last job once this is dropped.
///
/// The queue is bounded by who uses it: a reader and a writer have one job in it at most.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    idle: Condvar,
}

#[derive(Default)]
struct Queue {
    reads: VecDeque<Job>,
    others: VecDeque<Job>,
    /// Whose turn it is, where both wait: neither starves.
    read_next: bool,
    running: usize,
    closed: bool,
}

impl Pool {
    pub(super) fn new(threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            work: Condvar::new(),
            idle: Condvar::new(),
        });
        let pool = Self { shared: Arc::clone(&shared) };
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("cache-disk-{number}"))
                .spawn(move || shared.run())?;
        }
        Ok(pool)
    }

    pub(super) fn submit(&self, lane: Lane, job: impl FnOnce() + Send + 'static) {
        self.submit_boxed(lane, Box::new(job));
    }

    pub(super) fn submit_boxed(&self, lane: Lane, job: Job) {
        let mut queue = self.shared.lock();
        match lane {
            Lane::Read => queue.reads.push_back(job),
            Lane::Other => queue.others.push_back(job),
        }
        drop(queue);
        self.shared.work.notify_one();
    }

    /// Waits until there is nothing to do.
    pub(super) fn wait_idle(&self) {
        let mut queue = self.shared.lock();
        while queue.running > 0 || !queue.reads.is_empty() || !queue.others.is_empty() {
            queue = self.shared.idle.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut queue = self.lock();
        loop {
            let Some(job) = queue.next() else {
                if queue.closed {
                    return;
                }
                queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.running += 1;
            drop(queue);
            // A job that panics loses what it did, not the thread.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a job of the disk store panicked");
            }
            queue = self.lock();
            queue.running -= 1;
            if queue.running == 0 && queue.reads.is_empty() && queue.others.is_empty() {
                self.idle.notify_all();
            }
        }
    }
}

impl Queue {
    fn next(&mut self) -> Option<Job> {
        self.read_next = !self.read_next;
        if self.read_next {
            self.reads.pop_front().or_else(|| self.others.pop_front())
        } else {
            self.others.pop_front().or_else(|| self.reads.pop_front())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn jobs_are_done_though_some_panic_and_the_pool_is_dropped() {
        let done = Arc::new(AtomicUsize::new(0));
        let pool = Pool::new(2).unwrap();
        for number in 0..100 {
            let done = Arc::clone(&done);
            let lane = if number % 2 == 0 { Lane::Read } else { Lane::Other };
            pool.submit(lane, move || {
                done.fetch_add(1, Ordering::Relaxed);
                assert!(number % 10 > 0, "as it should");
            });
        }
        pool.wait_idle();
        assert_eq!(done.load(Ordering::Relaxed), 100);
        let last = Arc::clone(&done);
        pool.submit(Lane::Other, move || drop(last));
        drop(pool);
        while Arc::strong_count(&done) > 1 {
            std::thread::yield_now();
        }
    }
}
