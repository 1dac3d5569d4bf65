//! Changes of what is under a key.

use std::sync::Arc;

use super::{Keeper, Table, made_from};
use crate::store::{Freed, KeyHash, StoreError, Stored, StoredHead, Sweep};

impl<K: Keeper> Table<K> {
    /// Adds a response, in the place of those that it replaces. `origin` is what
    /// [`Table::origin`] said when its content was begun.
    pub(in crate::store) fn commit(
        &self,
        stored: &Arc<Stored>,
        origin: Option<&Arc<Stored>>,
    ) -> Result<(), StoreError> {
        if self.keeper.weight(stored) > self.limit() {
            return Err(StoreError::TooLarge);
        }
        let mut result = Ok(());
        self.change(&stored.head.key.hash(), |variants| {
            if let Some(origin) = origin {
                let is_there = |other: &Arc<Stored>| {
                    other.head.derived.is_none() && self.keeper.shares(other, origin)
                };
                if !variants.iter().any(is_there) {
                    result = Err(StoreError::Superseded);
                    return None;
                }
            }
            result = Ok(());
            let mut next = vec![Arc::clone(stored)];
            next.extend(variants.iter().filter(|old| !stored.head.replaces(&old.head)).cloned());
            if origin.is_some() && self.weight_of(&next) > self.limit() {
                // What can be made again puts out nothing, its own original least of all.
                result = Err(StoreError::TooLarge);
                return None;
            }
            self.bound(&mut next);
            Some(next)
        });
        result
    }

    /// Adds a response that may be older than what is there, where `is_newer` says so of those:
    /// below the newer ones, unless one of them replaces it. Tells whether it was added.
    #[cfg(feature = "disk-store")]
    pub(in crate::store) fn commit_older(
        &self,
        stored: &Arc<Stored>,
        is_newer: &dyn Fn(&Stored) -> bool,
    ) -> bool {
        let mut added = false;
        self.change(&stored.head.key.hash(), |variants| {
            let newer = variants.iter().take_while(|other| is_newer(other)).count();
            let (newer, older) = variants.split_at(newer);
            added = self.keeper.weight(stored) <= self.limit()
                && !newer.iter().any(|other| other.head.replaces(&stored.head));
            if !added {
                return None;
            }
            let mut next = newer.to_vec();
            next.push(Arc::clone(stored));
            next.extend(older.iter().filter(|old| !stored.head.replaces(&old.head)).cloned());
            self.bound(&mut next);
            added = next.iter().any(|other| Arc::ptr_eq(other, stored));
            Some(next)
        });
        added
    }

    /// Gives a response another head; `None` where it is no longer there.
    pub(in crate::store) fn replace_head(
        &self,
        stored: &Arc<Stored>,
        head: StoredHead,
    ) -> Option<Arc<Stored>> {
        let mut head = Some(head);
        let mut renewed = None;
        self.change(&stored.head.key.hash(), |variants| {
            if !variants.iter().any(|other| Arc::ptr_eq(other, stored)) {
                renewed = None;
                return None;
            }
            let new = self.keeper.renew(stored, head.take()?);
            let mut next = vec![Arc::clone(&new)];
            // What was derived from it stays: its content is the same.
            let stays = |old: &&Arc<Stored>| {
                !Arc::ptr_eq(old, stored)
                    && (made_from(&old.head, &new.head) || !new.head.replaces(&old.head))
            };
            next.extend(variants.iter().filter(stays).cloned());
            self.bound(&mut next);
            renewed = next.first().filter(|first| Arc::ptr_eq(first, &new)).cloned();
            Some(next)
        });
        renewed
    }

    pub(in crate::store) fn remove(&self, key: &KeyHash, only: Option<&Arc<Stored>>) -> Freed {
        let mut freed = Freed::default();
        self.change(key, |variants| {
            let mut next = variants.to_vec();
            match only {
                None => next.clear(),
                Some(stored) => {
                    next.retain(|other| !Arc::ptr_eq(other, stored));
                    drop_orphans(&mut next);
                }
            }
            freed = self.freed(variants, &next);
            (next.len() < variants.len()).then_some(next)
        });
        freed
    }

    pub(in crate::store) fn sweep(&self, visit: &mut dyn FnMut(&Arc<Stored>) -> Sweep) -> Freed {
        let mut sum = Freed::default();
        for (key, _) in self.cache.iter() {
            let mut freed = Freed::default();
            let mut visited = false;
            self.change(&key, |variants| {
                if visited {
                    // Evicted since: there is nothing left to do.
                    freed = Freed::default();
                    return None;
                }
                visited = true;
                let mut touched = false;
                let mut next = Vec::with_capacity(variants.len());
                for stored in variants {
                    let decision = visit(stored);
                    if !matches!(decision, Sweep::Keep) {
                        freed.responses += 1;
                        freed.bytes += self.keeper.bytes(stored);
                    }
                    match decision {
                        Sweep::Keep | Sweep::Count => next.push(Arc::clone(stored)),
                        Sweep::Remove => touched = true,
                        Sweep::Replace(head) => {
                            next.push(self.keeper.renew(stored, *head));
                            touched = true;
                        }
                    }
                }
                if touched {
                    let before = next.clone();
                    self.bound(&mut next);
                    let orphans = self.freed(&before, &next);
                    freed.responses += orphans.responses;
                    freed.bytes += orphans.bytes;
                }
                touched.then_some(next)
            });
            sum.responses += freed.responses;
            sum.bytes += freed.bytes;
        }
        sum
    }

    /// Drops the oldest responses beyond the bounds of one key. Derived ones do not count among
    /// them, and go first where the weight is too much: they can be made again.
    fn bound(&self, variants: &mut Vec<Arc<Stored>>) {
        let mut originals = 0;
        variants.retain(|stored| {
            originals += usize::from(stored.head.derived.is_none());
            stored.head.derived.is_some() || originals <= self.max_variants
        });
        drop_orphans(variants);
        let mut weight = self.weight_of(variants);
        for index in (0..variants.len()).rev() {
            if weight > self.limit() && variants[index].head.derived.is_some() {
                weight -= self.keeper.weight(&variants.remove(index));
            }
        }
        while weight > self.limit()
            && let Some(oldest) = variants.pop()
        {
            weight -= self.keeper.weight(&oldest);
        }
    }

    fn weight_of(&self, variants: &[Arc<Stored>]) -> u64 {
        variants.iter().map(|stored| self.keeper.weight(stored)).sum()
    }

    fn freed(&self, before: &[Arc<Stored>], after: &[Arc<Stored>]) -> Freed {
        let is_gone = |old: &&Arc<Stored>| !after.iter().any(|stored| Arc::ptr_eq(stored, old));
        let mut freed = Freed::default();
        for stored in before.iter().filter(is_gone) {
            freed.responses += 1;
            freed.bytes += self.keeper.bytes(stored);
        }
        freed
    }
}

/// Drops derived responses whose originals are gone.
fn drop_orphans(variants: &mut Vec<Arc<Stored>>) {
    if variants.iter().all(|stored| stored.head.derived.is_none()) {
        return;
    }
    let all = variants.clone();
    variants.retain(|stored| {
        stored.head.derived.is_none()
            || all.iter().any(|origin| made_from(&stored.head, &origin.head))
    });
}
