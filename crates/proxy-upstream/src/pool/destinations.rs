//! Pools of destinations that clients choose.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Pool, PoolConfig};

/// One pool for each name and port; the number of pools is bounded.
#[derive(Clone, Debug)]
pub struct Destinations {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: PoolConfig,
    max: usize,
    pools: Mutex<HashMap<Box<str>, Pool>>,
}

impl Destinations {
    /// At most `max` destinations have a pool; where that is reached, those that nobody uses are
    /// forgotten, and then the others are served without reuse.
    pub fn new(config: PoolConfig, max: usize) -> Self {
        Self { shared: Arc::new(Shared { config, max, pools: Mutex::default() }) }
    }

    /// The pool of a destination: its name in lower case with its port.
    pub(crate) fn pool(&self, destination: &str) -> Pool {
        let mut pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(destination) {
            return pool.clone();
        }
        let pool = Pool::new(self.shared.config);
        if pools.len() >= self.shared.max {
            pools.retain(|_, pool| pool.is_in_use());
        }
        if pools.len() < self.shared.max {
            pools.insert(destination.into(), pool.clone());
        }
        pool
    }

    /// Closes what has been idle for too long and forgets destinations that nobody uses.
    pub fn sweep(&self) {
        let mut pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|_, pool| {
            pool.sweep();
            pool.is_in_use()
        });
        if pools.is_empty() {
            pools.shrink_to_fit();
        }
    }

    /// Requests whose response is whole and that are still being sent.
    pub fn unfinished(&self) -> usize {
        let pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.values().map(Pool::unfinished).sum()
    }

    /// Idle connections now.
    pub fn idle(&self) -> usize {
        let pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.values().map(Pool::idle).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_about_to_connect_shares_with_those_who_come_after_a_sweep() {
        let destinations =
            Destinations::new(PoolConfig { max_connections: 1, ..Default::default() }, 1);
        let first = destinations.pool("a.test:80");
        destinations.sweep();
        // Neither does want of room forget it.
        let other = destinations.pool("b.test:80");
        let place = first.place().expect("the first");
        assert!(destinations.pool("a.test:80").place().is_none(), "the limit holds for both");
        assert!(other.place().is_some());
        drop((first, place));
        destinations.sweep();
        assert!(destinations.shared.pools.lock().expect("sound").is_empty());
    }
}
