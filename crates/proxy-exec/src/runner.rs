//! What all programs of a process share.

use std::sync::Arc;

use metrics::Recorder;
use proxy_core::{Clock, SystemClock};
use tokio::sync::Semaphore;

use crate::fetch::Fetcher;
use crate::process::{Spawner, Warden};
use crate::slots::Slots;

/// Runs at a time where nothing else is said, of all programs together.
const MOST_RUNS: usize = 64;
/// Searches for what a path stands for, at a time.
const LOOKUPS: usize = 16;

/// What all programs of a process share: the warden that starts them, the runs that there may be
/// in total, the clock, and where they are counted. A clone is the same.
#[derive(Clone)]
pub struct ExecRunner {
    pub(crate) spawner: Spawner,
    pub(crate) slots: Arc<Slots>,
    pub(crate) lookups: Arc<Semaphore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) recorder: Option<Arc<dyn Recorder + Send + Sync>>,
    pub(crate) fetcher: Option<Arc<dyn Fetcher>>,
    /// Sets the entity tags of this process apart from those of others.
    pub(crate) salt: u64,
}

impl ExecRunner {
    /// Through this warden, at most 64 runs at a time, with the system's clock.
    pub fn new(warden: Warden) -> Self {
        let salt = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0_u8);
        Self {
            spawner: Spawner::new(warden),
            slots: Arc::new(Slots::new(MOST_RUNS, usize::MAX)),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            clock: Arc::new(SystemClock),
            recorder: None,
            fetcher: None,
            salt,
        }
    }

    /// Runs at a time, of all programs together. Default: 64.
    #[must_use]
    pub fn runs(mut self, most: usize) -> Self {
        self.slots = Arc::new(Slots::new(most, usize::MAX));
        self
    }

    /// Another clock. It must be one that tokio's timers follow, or a test's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Counts what happens. See [`METRICS`](crate::METRICS).
    #[must_use]
    pub fn recorder(mut self, recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Fetches what URLs of parameters name. Default: nothing is fetched.
    #[must_use]
    pub fn fetcher(mut self, fetcher: Arc<dyn Fetcher>) -> Self {
        self.fetcher = Some(fetcher);
        self
    }

    /// What starts the programs.
    pub const fn spawner(&self) -> &Spawner {
        &self.spawner
    }
}

impl std::fmt::Debug for ExecRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecRunner")
            .field("running", &self.spawner.running())
            .finish_non_exhaustive()
    }
}
