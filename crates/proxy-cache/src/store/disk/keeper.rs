//! What the table asks the disk store.

use std::any::Any;
use std::sync::Arc;

use super::content::DiskBody;
use super::head;
use super::pool::Lane;
use crate::store::table::Keeper;
use crate::store::{Stored, StoredBody, StoredHead, weight};

/// Memory for a file's record beside its head.
const OF_RECORD: u64 = 320;

/// See [`Keeper`].
pub(super) struct OnDisk {
    /// Bytes of the disk that go with a byte of memory for heads.
    pub(super) disk_of_head: u64,
}

/// The content of a response of this store.
pub(super) fn body_of(stored: &Stored) -> Option<&DiskBody> {
    match &stored.body {
        StoredBody::Source(source) => {
            let source: &dyn Any = &**source;
            source.downcast_ref()
        }
        StoredBody::Memory { .. } => None,
    }
}

impl Keeper for OnDisk {
    /// The disk it takes, or its share of the memory for heads if that is more: so that neither
    /// bound is exceeded.
    fn weight(&self, stored: &Stored) -> u64 {
        let memory = weight::of_stored(stored) + weight::OF_KEY + OF_RECORD;
        self.bytes(stored).max(memory.saturating_mul(self.disk_of_head))
    }

    fn bytes(&self, stored: &Stored) -> u64 {
        body_of(stored).map_or(0, |body| body.bytes)
    }

    fn shares(&self, one: &Stored, other: &Stored) -> bool {
        match (body_of(one), body_of(other)) {
            (Some(one), Some(other)) => Arc::ptr_eq(&one.file, &other.file),
            _ => false,
        }
    }

    fn renew(&self, stored: &Arc<Stored>, head: StoredHead) -> Arc<Stored> {
        let head = weight::compact(head);
        let body = match body_of(stored) {
            Some(body) => {
                let file = Arc::clone(&body.file);
                let order = file.environment.next_id().unwrap_or(body.order);
                let bytes = head::to_bytes(&head);
                let has_head_file = body.order != file.id;
                let more = if has_head_file { 0 } else { 4096 };
                let new = DiskBody { file: Arc::clone(&file), order, bytes: body.bytes + more };
                let environment = Arc::clone(&file.environment);
                environment.pool.submit(Lane::Other, move || file.replace_head(order, bytes));
                StoredBody::Source(Arc::new(new))
            }
            None => stored.body.clone(),
        };
        Arc::new(Stored { head, body })
    }

    fn left(&self, stored: &Arc<Stored>) {
        if let Some(body) = body_of(stored) {
            body.file.doom();
        }
    }
}
