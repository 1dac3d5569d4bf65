//! What two stores have under one key, as one.

use std::sync::Arc;

use crate::store::{CacheStore, KeyHash, Stored, StoredHead, Variants};

/// Whether two heads are of the same response, in two stores that agree: it is in the same place.
pub(super) fn is_same(one: &StoredHead, other: &StoredHead) -> bool {
    one.variant == other.variant && one.derived == other.derived
}

/// Whether both are one response, that was put into both stores. One that was evicted from the
/// upper store is still known by what it says, and when it came, to the nanosecond.
pub(super) fn is_copy(one: &Arc<Stored>, other: &Arc<Stored>) -> bool {
    Arc::ptr_eq(one, other)
        || (one.body.len() == other.body.len()
            && one.head.lifetime == other.head.lifetime
            && one.head.status == other.head.status
            && one.head.fields == other.head.fields
            && one.head.part == other.head.part)
}

/// The response in the place of one with this head.
pub(super) fn same_in(
    tier: &dyn CacheStore,
    key: &KeyHash,
    head: &StoredHead,
) -> Option<Arc<Stored>> {
    let variants = tier.lookup(key)?;
    variants.iter().find(|stored| is_same(&stored.head, head)).cloned()
}

/// All of both, the newest first; of what both have, the upper one's.
pub(super) fn merged(upper: &Variants, lower: &Variants) -> Variants {
    let is_one = upper.len() == lower.len()
        && upper.iter().zip(lower.iter()).all(|(one, other)| is_same(&one.head, &other.head));
    if is_one {
        return Arc::clone(upper);
    }
    let is_in = |stored: &Arc<Stored>, variants: &Variants| {
        variants.iter().any(|other| is_same(&other.head, &stored.head))
    };
    let above = |stored: &Arc<Stored>| {
        let found = upper.iter().find(|other| is_same(&other.head, &stored.head));
        Arc::clone(found.unwrap_or(stored))
    };
    let only_above = upper.iter().filter(|stored| !is_in(stored, lower)).cloned();
    let mut all: Vec<_> = only_above.chain(lower.iter().map(above)).collect();
    if upper.iter().any(|stored| !is_in(stored, lower)) {
        // Neither list tells where the others belong; equal times stay as they are.
        all.sort_by_key(|stored| std::cmp::Reverse(stored.head.lifetime.response_time));
    }
    all.into()
}
