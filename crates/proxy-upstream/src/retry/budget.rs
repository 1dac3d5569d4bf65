//! How many requests may go again: a share of those that succeed.
//!
//! Counting successes, and not requests, ends retries soon when everything fails, and leaves the
//! whole share where a part does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// In this time what was saved loses two thirds: a quiet day pays for no storm.
const MEMORY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Budget {
    share: f64,
    reserve: f64,
    /// Successes since the purse was last looked into.
    successes: AtomicU64,
    purse: Mutex<Purse>,
}

#[derive(Debug)]
struct Purse {
    retries: f64,
    at: Instant,
}

impl Budget {
    /// `share` of a retry for each success, and `reserve` retries in each ten seconds, whatever
    /// succeeds.
    pub(crate) fn new(share: f64, reserve: u32, now: Instant) -> Self {
        let reserve = f64::from(reserve);
        let purse = Mutex::new(Purse { retries: reserve, at: now });
        Self { share: share.max(0.0), reserve, successes: AtomicU64::new(0), purse }
    }

    /// A request has succeeded.
    pub(crate) fn deposit(&self) {
        self.successes.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a retry, if there is one.
    pub(crate) fn withdraw(&self, now: Instant) -> bool {
        let mut purse = self.purse.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(purse.at).as_secs_f64() / MEMORY.as_secs_f64();
        let successes = self.successes.swap(0, Ordering::Relaxed) as f64;
        // Of a long time only the last of it counts.
        let recent = successes / passed.max(1.0);
        let kept = purse.retries * (-passed).exp();
        purse.retries = kept + recent * self.share + self.reserve * passed.min(1.0);
        purse.at = now;
        let enough = purse.retries >= 1.0;
        if enough {
            purse.retries -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &Budget, now: Instant) -> usize {
        (0..100_000).take_while(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn retries_are_a_share_of_successes() {
        let start = Instant::now();
        let budget = Budget::new(0.2, 10, start);
        assert_eq!(taken(&budget, start), 10, "the reserve");
        (0..10_000).for_each(|_| budget.deposit());
        assert_eq!(taken(&budget, start), 2_000);
        assert_eq!(taken(&budget, start), 0, "nothing succeeds, nothing goes again");
    }

    #[test]
    fn what_was_long_ago_does_not_count() {
        let start = Instant::now();
        let budget = Budget::new(0.2, 10, start);
        (0..360_000).for_each(|_| budget.deposit());
        // 360,000 in an hour are 1,000 in ten seconds.
        let later = taken(&budget, start + Duration::from_secs(3_600));
        assert!((205..=215).contains(&later), "{later}");
    }

    #[test]
    fn without_a_budget_nothing_goes_again() {
        let start = Instant::now();
        let none = Budget::new(0.0, 0, start);
        none.deposit();
        assert!(!none.withdraw(start));
    }
}
