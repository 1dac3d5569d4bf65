//! How many wrong passwords came from one client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proxy_core::ClientAddr;

use crate::rate::gcra::Gcra;
use crate::rate::table::{KeyHash, KeyTable};

/// Wrong passwords of one client (IPv4 address or IPv6 /64) that are checked one after another.
const BURST: u64 = 32;
/// The time after which one more is.
const INTERVAL: Duration = Duration::from_secs(1);
/// Clients that are counted apart: 32 bytes each.
const CLIENTS: usize = 4096;

/// Counts them by client. Not by name: whoever knows the name of a user could shut that user out.
#[derive(Clone)]
pub(super) struct Failures(Arc<Table>);

struct Table {
    table: KeyTable,
    limit: Gcra,
    epoch: Instant,
}

/// A check that is under way, taken for wrong until it is known to be right or was not made.
pub(super) struct Attempt {
    failures: Failures,
    client: KeyHash,
    failed: bool,
}

impl Failures {
    pub(super) fn new(now: Instant) -> Self {
        let limit = Gcra::new(INTERVAL.as_nanos() as u64, BURST).expect("half a minute fits");
        Self(Arc::new(Table { table: KeyTable::new(CLIENTS), limit, epoch: now }))
    }

    /// One more attempt.
    ///
    /// # Errors
    /// There were too many wrong ones: the time until the next, in whole seconds.
    pub(super) fn begin(&self, client: ClientAddr, now: Instant) -> Result<Attempt, Duration> {
        let own = &self.0;
        let client = own.table.hash(client.key(32, 64));
        let now = now.saturating_duration_since(own.epoch).as_nanos() as u64;
        match own.table.take(client, own.limit, now, 1).wait {
            Some(wait) => Err(Duration::from_secs(wait.div_ceil(1_000_000_000))),
            None => Ok(Attempt { failures: self.clone(), client, failed: false }),
        }
    }
}

impl Attempt {
    /// It was wrong.
    pub(super) fn failed(mut self) {
        self.failed = true;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.failed {
            let own = &self.failures.0;
            own.table.give_back(self.client, own.limit, 1);
        }
    }
}
