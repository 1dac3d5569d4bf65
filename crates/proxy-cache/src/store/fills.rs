//! The bytes of fills under way, all together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many bytes fills may hold before they are stored.
pub(in crate::store) struct Fills {
    bytes: AtomicU64,
    most: u64,
}

/// What one fill has of them; given back when it is dropped.
pub(in crate::store) struct Share {
    fills: Arc<Fills>,
    bytes: u64,
}

impl Fills {
    pub(in crate::store) fn new(most: u64) -> Self {
        Self { bytes: AtomicU64::new(0), most }
    }

    pub(in crate::store) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A share of so many bytes, if they are left.
    pub(in crate::store) fn share(self: &Arc<Self>, bytes: u64) -> Option<Share> {
        let mut share = Share { fills: Arc::clone(self), bytes: 0 };
        share.grow_to(bytes).then_some(share)
    }
}

impl Share {
    /// Makes it at least so large; tells whether so much was left.
    pub(in crate::store) fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let most = self.fills.most;
        let add = |now: u64| now.checked_add(more).filter(|sum| *sum <= most);
        let grown = self.fills.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        if grown.is_ok() {
            self.bytes += more;
        }
        grown.is_ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.fills.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_bound_and_are_given_back() {
        let fills = Arc::new(Fills::new(100));
        let mut one = fills.share(60).unwrap();
        assert!(fills.share(41).is_none());
        let two = fills.share(40).unwrap();
        assert!(!one.grow_to(61));
        drop(two);
        assert!(one.grow_to(100));
        assert!(one.grow_to(1));
        drop(one);
        assert_eq!(fills.bytes(), 0);
    }
}
