//! A fill of the memory store.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::Shared;
use super::blocks::Blocks;
use crate::store::fills::Share;
use crate::store::{StoreError, StoreWriter, Stored, StoredBody, StoredHead, weight};

/// One response on its way.
pub(super) struct MemoryWriter {
    store: Arc<Shared>,
    head: StoredHead,
    origin: Option<Arc<Stored>>,
    expected: Option<u64>,
    blocks: Blocks,
    share: Share,
}

impl MemoryWriter {
    pub(super) fn begin(
        store: &Arc<Shared>,
        head: StoredHead,
        expected: Option<u64>,
    ) -> Option<Box<dyn StoreWriter>> {
        if expected.is_some_and(|len| len > store.max_object) {
            return None;
        }
        let origin = store.table.origin(&head)?;
        let share = store.fills.share(expected.unwrap_or(0))?;
        let head = weight::compact(head);
        let blocks = Blocks::new(expected);
        Some(Box::new(Self { store: Arc::clone(store), head, origin, expected, blocks, share }))
    }
}

impl StoreWriter for MemoryWriter {
    fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        let len = self.blocks.len() + chunk.len() as u64;
        if len > self.store.max_object {
            return Err(StoreError::TooLarge);
        }
        if self.expected.is_some_and(|expected| len > expected) {
            return Err(StoreError::Incomplete);
        }
        if !self.share.grow_to(self.blocks.allocated_with(chunk.len())) {
            return Err(StoreError::Behind);
        }
        self.blocks.push(&chunk);
        Ok(())
    }

    fn commit(self: Box<Self>, trailers: Option<HeaderMap>) -> Result<Arc<Stored>, StoreError> {
        let Self { store, mut head, origin, expected, blocks, share } = *self;
        if expected.is_some_and(|expected| expected != blocks.len()) {
            return Err(StoreError::Incomplete);
        }
        if trailers.is_some() {
            head.trailers = trailers;
            head = weight::compact(head);
        }
        let stored = Arc::new(Stored { head, body: StoredBody::memory(blocks.finish()) });
        store.table.commit(&stored, origin.as_ref())?;
        drop(share);
        Ok(stored)
    }
}
