//! One direction of a limit: a rate, a burst, and what each key owes.

use std::time::{Duration, Instant};

use super::limiter::BandwidthError;
use crate::rate::gcra::Gcra;
use crate::rate::table::{KeyHash, KeyTable};

/// Keys that are kept apart at a time where nothing is said.
pub const DEFAULT_KEYS: usize = 16_384;

/// Parts of a nanosecond in which time is counted here: a byte at 1 GB/s is worth one nanosecond,
/// and whole ones would be too coarse. 64 bits of them last 36 years.
const TICKS: u64 = 16;

/// The most bytes in a second.
const MOST: u64 = 1_000_000_000;

/// The shortest piece that a frame is cut into, if the burst allows it.
const SHORT_PIECE: u64 = 1024;

/// So many bytes in a second; from 1 to 1 GB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRate(u64);

impl ByteRate {
    /// So many bytes in a second; 0 counts as 1, and no more than 1 GB.
    pub const fn per_second(bytes: u64) -> Self {
        Self(match bytes {
            0 => 1,
            bytes if bytes > MOST => MOST,
            bytes => bytes,
        })
    }

    /// Bytes in a second.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// A rate in use.
#[derive(Debug)]
pub(super) struct Pace {
    gcra: Gcra,
    /// What is promised to a body that must wait: a twentieth of a second's worth, so that bodies
    /// of one key take turns often.
    piece: u64,
    table: KeyTable,
    began: Instant,
}

/// What may pass, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) bytes: u64,
    /// Not before this time; none: now.
    pub(super) at: Option<Instant>,
}

impl Pace {
    pub(super) fn new(
        rate: ByteRate,
        burst: Option<u64>,
        keys: usize,
        began: Instant,
    ) -> Result<Self, BandwidthError> {
        let burst = burst.unwrap_or(rate.bytes());
        if burst == 0 {
            return Err(BandwidthError::NoBurst);
        }
        let interval = 1_000_000_000 * TICKS / rate.bytes();
        let gcra = Gcra::new(interval, burst).ok_or(BandwidthError::TooLong)?;
        let piece = (rate.bytes() / 20).max(SHORT_PIECE).min(burst);
        Ok(Self { gcra, piece, table: KeyTable::new(keys), began })
    }

    pub(super) fn hash(&self, key: impl std::hash::Hash) -> KeyHash {
        self.table.hash(key)
    }

    /// Promises some of these bytes: what may pass at once, else a piece later.
    pub(super) fn promise(&self, key: KeyHash, wanted: u64, now: Instant) -> Promise {
        let ticks = self.ticks(now);
        let (bytes, wait) = self.table.reserve(key, self.gcra, ticks, wanted, self.piece);
        let at = (wait > 0).then(|| now + Duration::from_nanos(wait.div_ceil(TICKS)));
        Promise { bytes, at }
    }

    /// Takes back a promise that nobody waits for any more.
    pub(super) fn take_back(&self, key: KeyHash, bytes: u64) {
        self.table.give_back(key, self.gcra, bytes);
    }

    fn ticks(&self, now: Instant) -> u64 {
        let nanos = now.saturating_duration_since(self.began).as_nanos();
        u64::try_from(nanos * u128::from(TICKS)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pace(rate: u64, burst: u64, began: Instant) -> Pace {
        Pace::new(ByteRate::per_second(rate), Some(burst), 16, began).expect("a pace")
    }

    #[test]
    fn a_burst_then_pieces_in_turn() {
        let began = Instant::now();
        let pace = pace(100_000, 20_000, began);
        let (one, other) = (pace.hash(1), pace.hash(2));
        let now = |bytes| Promise { bytes, at: None };
        let later = |bytes, ms| Promise { bytes, at: Some(began + Duration::from_millis(ms)) };
        assert_eq!(pace.promise(one, 15_000, began), now(15_000));
        assert_eq!(pace.promise(one, 6_000, began), now(5_000));
        // Nothing is left: a twentieth of a second's worth, and the next one after it.
        assert_eq!(pace.promise(one, 90_000, began), later(5_000, 50));
        assert_eq!(pace.promise(one, 1_000, began), later(1_000, 60));
        pace.take_back(one, 5_000);
        assert_eq!(pace.promise(one, 1_000, began), later(1_000, 20));
        assert_eq!(pace.promise(other, 15_000, began), now(15_000));
    }

    #[test]
    fn what_can_not_be_is_no_pace() {
        let began = Instant::now();
        let none = Pace::new(ByteRate::per_second(1), Some(0), 16, began).map(|_| ());
        assert_eq!(none, Err(BandwidthError::NoBurst));
        let long = Pace::new(ByteRate::per_second(1), Some(1 << 40), 16, began).map(|_| ());
        assert_eq!(long, Err(BandwidthError::TooLong));
        assert_eq!(ByteRate::per_second(0).bytes(), 1);
        assert_eq!(ByteRate::per_second(u64::MAX).bytes(), 1_000_000_000);
    }

    proptest! {
        /// In any stretch of time no more is promised than the burst and what the rate gives.
        #[test]
        fn never_more_than_burst_and_rate(
            rate in 1u64..2_000_000,
            burst in 1u64..200_000,
            wanted in proptest::collection::vec((1u64..100_000, 0u64..50), 1..100),
        ) {
            let began = Instant::now();
            let pace = pace(rate, burst, began);
            let key = pace.hash(7);
            let (mut now, mut passed) = (began, Vec::new());
            for (wanted, pause) in wanted {
                now += Duration::from_millis(pause);
                let promise = pace.promise(key, wanted, now);
                prop_assert!(promise.bytes >= 1 && promise.bytes <= wanted.min(burst));
                now = promise.at.unwrap_or(now);
                passed.push((now, promise.bytes));
            }
            for first in 0..passed.len() {
                let mut sum = 0u128;
                for (at, bytes) in &passed[first..] {
                    sum += u128::from(*bytes);
                    let nanos = (*at - passed[first].0).as_nanos() + 1;
                    // The interval is a whole number of ticks: the rate is that much higher.
                    let interval = u128::from(1_000_000_000 * TICKS / rate);
                    let paid = nanos * u128::from(TICKS) / interval;
                    prop_assert!(sum <= u128::from(burst) + paid, "{sum} {burst} {paid}");
                }
            }
        }
    }
}
