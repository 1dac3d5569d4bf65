//! Reload: another configuration in the place of the one in effect, all of it or nothing.
//!
//! Whoever wants one [orders](Reloads::order) it: a signal, the admin listener, the watch over the
//! files. The process loads the configuration again, from the same files and options, as it did at
//! its start; [adopts](adopt()) what must outlive a change; opens what is new; composes. Nothing has
//! changed so far, and where anything is wrong, nothing does. Only then does it take effect, by
//! exchanges that can not fail.

pub mod adopt;
mod restart;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::config::definitions::Difference;
use crate::config::{Diagnostics, Loaded};
use crate::serve::ServeError;

pub use adopt::adopt;
pub use restart::needs_restart;

/// Orders that wait.
const WAITING: usize = 16;

/// Loads the configuration again. Blocks.
pub type Load = Arc<dyn Fn() -> Result<Loaded, Diagnostics> + Send + Sync>;

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReloadOrder {
    /// Only says what would change.
    pub dry_run: bool,
    /// Judges open tunnels by what is in effect then, and closes those that it refuses.
    pub sever: bool,
}

/// What a reload has changed, or would.
#[derive(Debug, Default)]
pub struct Reloaded {
    /// The number of the configuration in effect.
    pub generation: u64,
    /// Whether nothing was changed because nothing was to be.
    pub dry_run: bool,
    /// What is written otherwise than before.
    pub differences: Vec<Difference>,
    /// Sockets that were opened.
    pub opened: Vec<String>,
    /// Sockets that were closed.
    pub closed: Vec<String>,
    /// What is probably not meant, and what was kept against what a file says.
    pub warnings: Vec<String>,
    /// Tunnels that were closed, where that was asked for.
    pub severed: Option<usize>,
}

/// Why the configuration in effect stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// It can not be used, or not without a restart.
    #[error("{0}")]
    Configuration(Diagnostics),
    /// Something that it needs can not be opened.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// It takes too long to be loaded.
    #[error("it was not loaded within a minute: a file that it names may not answer")]
    TooSlow,
    /// It broke off, for a reason that is in the log.
    #[error("it broke off")]
    BrokeOff,
    /// The process is about to end, or another one is about to serve in its place.
    #[error("the process is about to end")]
    Ending,
}

/// What became of an order.
pub type ReloadResult = Result<Reloaded, ReloadError>;

/// An order with the place for its answer.
#[derive(Debug)]
pub struct Ordered {
    /// What is asked for.
    pub order: ReloadOrder,
    /// Who waits for the answer.
    pub answer: oneshot::Sender<ReloadResult>,
}

/// Takes orders, and knows what became of them. A clone is the same.
#[derive(Clone)]
pub struct Reloads {
    orders: mpsc::Sender<Ordered>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    applied: AtomicU64,
    refused: AtomicU64,
    /// What was wrong the last time.
    wrong: Mutex<Option<String>>,
}

impl Reloads {
    /// With the end where the orders come out.
    pub fn new() -> (Self, mpsc::Receiver<Ordered>) {
        let (orders, ordered) = mpsc::channel(WAITING);
        (Self { orders, counts: Arc::default() }, ordered)
    }

    /// Orders a reload and waits for it.
    ///
    /// # Errors
    /// Why everything stays as it is.
    pub async fn order(&self, order: ReloadOrder) -> ReloadResult {
        let (answer, answered) = oneshot::channel();
        let sent = self.orders.send(Ordered { order, answer }).await;
        sent.map_err(|_| ReloadError::Ending)?;
        answered.await.unwrap_or(Err(ReloadError::Ending))
    }

    /// Orders a reload and waits for nothing. Where many wait already, they are enough.
    pub fn ask(&self) {
        let (answer, _) = oneshot::channel();
        let _ = self.orders.try_send(Ordered { order: ReloadOrder::default(), answer });
    }

    /// Counts what became of one.
    pub fn count(&self, result: &ReloadResult) {
        let (counter, wrong) = match result {
            Ok(done) if done.dry_run => return,
            Ok(_) => (&self.counts.applied, None),
            Err(error) => (&self.counts.refused, Some(error.to_string())),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        *self.counts.wrong.lock().unwrap_or_else(PoisonError::into_inner) = wrong;
    }

    /// How many took effect, and how many were refused.
    pub fn counted(&self) -> (u64, u64) {
        let Counts { applied, refused, .. } = &*self.counts;
        (applied.load(Ordering::Relaxed), refused.load(Ordering::Relaxed))
    }

    /// Why the last one was refused, if it was.
    pub fn wrong(&self) -> Option<String> {
        self.counts.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Reloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloads").field("counted", &self.counted()).finish_non_exhaustive()
    }
}
