//! Chance, as something that is handed in.

use std::sync::atomic::{AtomicU64, Ordering};

/// A source of random numbers. Not for secrets.
pub trait Random: Send + Sync + 'static {
    /// Any number, each as likely as the other.
    fn next(&self) -> u64;

    /// A number below `bound`; 0 where `bound` is 0.
    fn below(&self, bound: usize) -> usize {
        // The high half of a product is fair enough for bounds far below 2^64.
        let product = u128::from(self.next()) * bound as u128;
        usize::try_from(product >> 64).unwrap_or(0)
    }

    /// A number from 0 up to, and without, 1.
    fn fraction(&self) -> f64 {
        // 53 bits are what a double holds.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The same sequence for the same seed (SplitMix64), shared without a lock.
#[derive(Debug)]
pub struct SeededRandom(AtomicU64);

impl SeededRandom {
    /// Begins at a seed.
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Random for SeededRandom {
    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        mix(self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }
}

/// Spreads every bit over all others; the finish of SplitMix64.
pub(super) const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_and_repeatable() {
        let (one, same) = (SeededRandom::new(1), SeededRandom::new(1));
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            assert_eq!(one.next(), same.next());
            counts[one.below(7)] += 1;
            same.next();
            assert!((0.0..1.0).contains(&one.fraction()));
            same.next();
        }
        assert!(counts.iter().all(|n| (9_500..10_500).contains(n)), "{counts:?}");
        assert_eq!(one.below(0), 0);
    }
}
