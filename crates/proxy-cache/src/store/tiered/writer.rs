//! A fill of two stores.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::Tiers;
use crate::store::{CacheStore, KeyHash, StoreError, StoreWriter, Stored, StoredHead};

/// One response on its way into both, or the one that still takes it.
pub(super) struct TieredWriter {
    tiers: Arc<Tiers>,
    key: KeyHash,
    head: StoredHead,
    upper: Option<Box<dyn StoreWriter>>,
    lower: Option<Box<dyn StoreWriter>>,
}

impl TieredWriter {
    pub(super) fn begin(
        tiers: &Arc<Tiers>,
        head: StoredHead,
        expected: Option<u64>,
    ) -> Option<Box<dyn StoreWriter>> {
        let upper = tiers.upper.begin(head.clone(), expected);
        let lower = tiers.lower.begin(head.clone(), expected);
        if upper.is_none() && lower.is_none() {
            return None;
        }
        let key = head.key.hash();
        Some(Box::new(Self { tiers: Arc::clone(tiers), key, head, upper, lower }))
    }

    /// What a store did not take must not leave there what it would have replaced.
    fn drop_replaced(&self, tier: &dyn CacheStore) {
        let variants = tier.lookup(&self.key);
        for old in variants.iter().flat_map(|variants| variants.iter()) {
            if self.head.replaces(&old.head) {
                tier.remove(&self.key, Some(old));
            }
        }
    }
}

fn write(writer: &mut Option<Box<dyn StoreWriter>>, chunk: Bytes) -> Result<(), StoreError> {
    let Some(open) = writer else { return Ok(()) };
    open.write(chunk).inspect_err(|_| *writer = None)
}

impl StoreWriter for TieredWriter {
    fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        let upper = write(&mut self.upper, chunk.clone());
        let lower = write(&mut self.lower, chunk);
        if self.upper.is_some() || self.lower.is_some() {
            return Ok(());
        }
        lower.and(upper)
    }

    fn commit(mut self: Box<Self>, trailers: Option<HeaderMap>) -> Result<Arc<Stored>, StoreError> {
        let (upper, lower) = (self.upper.take(), self.lower.take());
        let _writer = self.tiers.lock(&self.key);
        let upper = upper.map(|writer| writer.commit(trailers.clone()));
        let lower = lower.map(|writer| writer.commit(trailers));
        match (upper, lower) {
            (Some(Ok(stored)), other) => {
                if !matches!(other, Some(Ok(_))) {
                    self.drop_replaced(&*self.tiers.lower);
                }
                Ok(stored)
            }
            (_, Some(Ok(stored))) => {
                self.drop_replaced(&*self.tiers.upper);
                Ok(stored)
            }
            (upper, lower) => lower.or(upper).unwrap_or(Err(StoreError::Behind)),
        }
    }
}
