//! `States`: what outlives a change of the configuration where what defines it stays the same.
//!
//! Pools of connections, the state of endpoints, counts of limits, requests that wait for each
//! other in a cache, places of programs: whoever composes asks for each by its name and by the text
//! that [defines](crate::config::Definitions) it. What the composition before had under the same
//! name and definition is taken over; all else is made. What nobody asks for any more goes with the
//! last request that uses it.
//!
//! A composition that comes to nothing leaves no trace: what it took over it shared.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

/// What a composition keeps, and what it may take over from the one before.
#[derive(Default)]
pub struct States {
    earlier: Kept,
    now: Kept,
    taken_over: usize,
}

/// By its kind and name: what defines it, and itself.
type Kept = HashMap<(TypeId, String), (String, Arc<dyn Any + Send + Sync>)>;

impl States {
    /// For the composition that follows.
    #[must_use]
    pub fn successor(&self) -> Self {
        Self { earlier: self.now.clone(), ..Self::default() }
    }

    /// What there is under this name and definition, or else what `make` makes.
    pub fn keep<T: Clone + Send + Sync + 'static>(
        &mut self,
        name: &str,
        definition: String,
        make: impl FnOnce() -> T,
    ) -> T {
        let key = (TypeId::of::<T>(), name.to_owned());
        if let Some(own) = find(&self.now, &key, &definition) {
            return own;
        }
        let known = find(&self.earlier, &key, &definition);
        self.taken_over += usize::from(known.is_some());
        let own = known.unwrap_or_else(make);
        self.now.insert(key, (definition, Arc::new(own.clone())));
        own
    }

    /// How much of the composition before was taken over, and how much is kept in all.
    pub fn taken_over(&self) -> (usize, usize) {
        (self.taken_over, self.now.len())
    }

    /// Gives up what was not taken over: nothing is asked for any more.
    pub fn settle(&mut self) {
        self.earlier = Kept::new();
    }
}

fn find<T: Clone + 'static>(kept: &Kept, key: &(TypeId, String), definition: &str) -> Option<T> {
    let (own, value) = kept.get(key)?;
    (own == definition).then(|| value.downcast_ref().cloned()).flatten()
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("States").field("kept", &self.now.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_definition_is_taken_over_and_another_is_made_anew() {
        let mut first = States::default();
        let a = first.keep("a", "1".to_owned(), || Arc::new(1));
        let b = first.keep("b", "1".to_owned(), || Arc::new(1));
        assert!(Arc::ptr_eq(&a, &first.keep("a", "1".to_owned(), || Arc::new(9))));
        let mut second = first.successor();
        assert!(Arc::ptr_eq(&a, &second.keep("a", "1".to_owned(), || Arc::new(2))));
        assert!(!Arc::ptr_eq(&b, &second.keep("b", "2".to_owned(), || Arc::new(2))));
        // Another kind of the same name is something else.
        assert_eq!(second.keep("a", "1".to_owned(), || "text"), "text");
        assert_eq!(second.taken_over(), (1, 3));
        // What one composition left out is not there for the next.
        let mut third = States::default().successor();
        assert!(!Arc::ptr_eq(&a, &third.keep("a", "1".to_owned(), || Arc::new(3))));
    }

    #[test]
    fn what_nobody_asks_for_goes() {
        let mut first = States::default();
        let held = Arc::downgrade(&first.keep("a", String::new(), || Arc::new(1)));
        let mut second = first.successor();
        second.settle();
        drop(first);
        assert!(held.upgrade().is_none());
    }
}
