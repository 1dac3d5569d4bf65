//! The generic cell rate algorithm (ITU-T I.371 annex A, virtual scheduling), as pure arithmetic.
//!
//! All that is remembered of a key is one number: when its requests would all be paid for, if one
//! more were paid each interval. The time from now to then is what it owes; a request conforms if
//! afterwards it owes no more than the burst is worth. There is no window at whose edge twice as
//! much would pass, and what owes nothing need not be remembered.
//!
//! Times are nanoseconds of a clock of the caller; 0 is "owes nothing".

use std::time::Duration;

/// The parameters of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// The time that pays for one request.
    interval: u64,
    /// The most that may be owed.
    tolerance: u64,
}

/// How a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests that would pass at this moment.
    pub left: u64,
    /// Requests of the burst that are not paid for, counted up.
    pub used: u64,
    /// Until nothing is owed.
    pub until_clear: Duration,
}

impl Gcra {
    /// One request each `interval`, and `burst` at once. Both at least 1; the product must fit.
    pub fn new(interval: u64, burst: u64) -> Option<Self> {
        let tolerance = interval.checked_mul(burst).filter(|tolerance| *tolerance > 0)?;
        Some(Self { interval, tolerance })
    }

    /// What the key owes after a request of this cost, or how long until it would conform. `due`
    /// is when all is paid.
    ///
    /// # Errors
    /// The nanoseconds until a request of this cost conforms, if none comes before it.
    pub fn take(self, due: u64, now: u64, cost: u64) -> Result<u64, u64> {
        let price = self.interval.saturating_mul(cost);
        let after = due.max(now).saturating_add(price);
        match after.saturating_sub(now.saturating_add(self.tolerance)) {
            0 => Ok(after),
            wait => Err(wait),
        }
    }

    /// Promises up to `wanted`: all that conforms now, or, where that is less than `piece`, as much
    /// as a piece, later. Gives the cost, what the key owes then, and the time until it conforms.
    pub fn reserve(self, due: u64, now: u64, wanted: u64, piece: u64) -> (u64, u64, u64) {
        let left = self.standing(due, now).left;
        let cost = wanted.min(left.max(piece));
        let after = due.max(now).saturating_add(self.interval.saturating_mul(cost));
        (cost, after, after.saturating_sub(now.saturating_add(self.tolerance)))
    }

    /// The opposite of a `take` of this cost.
    pub fn give_back(self, due: u64, cost: u64) -> u64 {
        due.saturating_sub(self.interval.saturating_mul(cost))
    }

    /// How a key stands.
    pub fn standing(self, due: u64, now: u64) -> Standing {
        let owed = due.saturating_sub(now);
        Standing {
            left: self.tolerance.saturating_sub(owed) / self.interval,
            used: owed.div_ceil(self.interval),
            until_clear: Duration::from_nanos(owed),
        }
    }

    /// The time in which a whole burst is paid for.
    pub fn window(self) -> Duration {
        Duration::from_nanos(self.tolerance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_table_of_arrivals() {
        // 100/s, burst 3: an interval of 10 ms.
        let limit = Gcra::new(10 * MS, 3).expect("a limit");
        // (time in ms, conforms, else wait in ms)
        let arrivals = [
            (1000, Ok(())),
            (1000, Ok(())),
            (1000, Ok(())),
            (1000, Err(10)),
            (1004, Err(6)),
            (1010, Ok(())),
            (1010, Err(10)),
            (1035, Ok(())),
            (1035, Ok(())),
            (1035, Err(5)),
            (1040, Ok(())),
            // After a long pause a burst again, and no more than that.
            (9000, Ok(())),
            (9000, Ok(())),
            (9000, Ok(())),
            (9000, Err(10)),
        ];
        let mut due = 0;
        for (n, (at, expected)) in arrivals.into_iter().enumerate() {
            let taken = limit.take(due, at * MS, 1);
            if let Ok(after) = taken {
                due = after;
            }
            assert_eq!(taken.map(|_| ()).map_err(|wait| wait / MS), expected, "arrival {n}");
        }
    }

    #[test]
    fn costs_weigh() {
        let limit = Gcra::new(10, 10).expect("a limit");
        let due = limit.take(0, 1000, 7).expect("conforms");
        assert_eq!(limit.take(due, 1000, 4), Err(10));
        assert!(limit.take(due, 1000, 3).is_ok());
        // What costs more than the burst never passes, also where nothing is owed.
        assert_eq!(limit.take(0, 1000, 11), Err(10));
    }

    #[test]
    fn a_standing_counts_what_is_left() {
        let limit = Gcra::new(10, 10).expect("a limit");
        let due = limit.take(0, 1000, 4).expect("conforms");
        let standing = limit.standing(due, 1005);
        assert_eq!((standing.left, standing.used), (6, 4));
        assert_eq!(standing.until_clear, Duration::from_nanos(35));
        assert_eq!(limit.standing(due, 5000).left, 10);
        assert_eq!(limit.standing(limit.give_back(due, 4), 1000).used, 0);
    }

    #[test]
    fn what_can_not_be_is_no_limit() {
        assert!(Gcra::new(0, 1).is_none() && Gcra::new(1, 0).is_none());
        assert!(Gcra::new(u64::MAX, 2).is_none());
    }

    proptest! {
        /// In any stretch of time no more pass than the burst and what the rate pays for; and
        /// who waits as long as is said passes.
        #[test]
        fn never_more_than_burst_and_rate(
            interval in 1u64..1000,
            burst in 1u64..50,
            gaps in proptest::collection::vec(0u64..2000, 1..200),
        ) {
            let limit = Gcra::new(interval, burst).expect("a limit");
            let (mut due, mut now, mut passed) = (0, 1_000_000, Vec::new());
            for gap in gaps {
                now += gap;
                match limit.take(due, now, 1) {
                    Ok(after) => { due = after; passed.push(now); }
                    Err(wait) => {
                        prop_assert!(limit.take(due, now + wait, 1).is_ok());
                        prop_assert!(limit.take(due, now + wait - 1, 1).is_err());
                    }
                }
            }
            for (n, first) in passed.iter().enumerate() {
                for (m, last) in passed.iter().enumerate().skip(n) {
                    prop_assert!((m - n) as u64 <= burst + (last - first) / interval);
                }
            }
        }
    }
}
