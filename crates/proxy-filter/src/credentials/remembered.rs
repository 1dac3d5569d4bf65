//! Pairs of name and password that were right.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use proxy_core::clock::later;

/// How many pairs are remembered.
const MAX_PAIRS: usize = 4096;

/// Pairs that were right, as hashes that nobody can make without the key.
pub(super) struct Remembered {
    key: [u8; 32],
    pairs: RwLock<HashMap<[u8; 32], Pair>>,
    time: Duration,
}

struct Pair {
    user: Arc<str>,
    /// Of the users among whom it was right.
    generation: u64,
    until: Instant,
}

impl Remembered {
    pub(super) fn new(key: [u8; 32], time: Duration) -> Self {
        Self { key, pairs: RwLock::default(), time }
    }

    pub(super) const fn set_time(&mut self, time: Duration) {
        self.time = time;
    }

    /// The hash of a pair.
    pub(super) fn hash(&self, pair: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.key, pair).as_bytes()
    }

    /// Whose pair it is, where it was right not long ago.
    pub(super) fn user(&self, hash: &[u8; 32], generation: u64, now: Instant) -> Option<Arc<str>> {
        let pairs = self.pairs.read().unwrap_or_else(PoisonError::into_inner);
        let good = |pair: &&Pair| now < pair.until && pair.generation == generation;
        pairs.get(hash).filter(good).map(|pair| Arc::clone(&pair.user))
    }

    /// Remembers a pair. Where there are too many, the one that is nearest to its end makes room.
    pub(super) fn remember(&self, hash: [u8; 32], user: Arc<str>, generation: u64, now: Instant) {
        if self.time.is_zero() {
            return;
        }
        let mut pairs = self.pairs.write().unwrap_or_else(PoisonError::into_inner);
        if pairs.len() >= MAX_PAIRS {
            pairs.retain(|_, pair| now < pair.until && pair.generation == generation);
        }
        if pairs.len() >= MAX_PAIRS
            && let Some(oldest) = pairs.iter().min_by_key(|(_, pair)| pair.until)
        {
            let oldest = *oldest.0;
            pairs.remove(&oldest);
        }
        pairs.insert(hash, Pair { user, generation, until: later(now, self.time) });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pairs.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}
