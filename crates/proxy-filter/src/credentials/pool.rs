//! Where passwords are checked.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Work that waits, at most.
pub(super) const QUEUE: usize = 64;

/// Runs work that takes the processor for a while, away from whoever serves requests.
pub trait Offload: Send + Sync + 'static {
    /// Begins the work, now or soon. False where too much waits already: it was not begun.
    fn offload(&self, work: Box<dyn FnOnce() + Send>) -> bool;
}

/// Some threads and a queue of at most 64 before them. The threads end when it is dropped.
#[derive(Debug)]
pub struct Pool {
    queue: SyncSender<Box<dyn FnOnce() + Send>>,
}

impl Pool {
    /// Starts the threads; at least one.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start(threads: usize) -> io::Result<Self> {
        let (queue, work) = sync_channel(QUEUE);
        let work = Arc::new(Mutex::new(work));
        for _ in 0..threads.max(1) {
            let work = Arc::clone(&work);
            std::thread::Builder::new()
                .name("passwords".to_owned())
                .spawn(move || while one(&work) {})?;
        }
        Ok(Self { queue })
    }
}

/// Does the next piece of work; false where there will be none any more.
fn one(work: &Mutex<Receiver<Box<dyn FnOnce() + Send>>>) -> bool {
    let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let Ok(next) = next else { return false };
    // A panic in one check must not take the thread from the others.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(next));
    true
}

impl Offload for Pool {
    fn offload(&self, work: Box<dyn FnOnce() + Send>) -> bool {
        self.queue.try_send(work).is_ok()
    }
}
