//! A bounded map of answers, each with the instant at which it ends.
//!
//! Two generations: what is asked for moves to the young one; when that is full it becomes the old
//! one, and what was old and not asked for meanwhile is gone. That keeps the names in use, with
//! constant work and a firm bound, at less bookkeeping than a list in order of use.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Answers by name.
pub(super) struct Cache<T> {
    generations: Mutex<Generations<T>>,
    /// Of one generation.
    capacity: usize,
}

struct Generations<T> {
    young: HashMap<Box<str>, Entry<T>>,
    old: HashMap<Box<str>, Entry<T>>,
}

struct Entry<T> {
    value: T,
    until: Instant,
}

impl<T: Clone> Cache<T> {
    /// A cache of at most `entries`; 0 keeps nothing.
    pub(super) fn new(entries: usize) -> Self {
        let generations = Generations { young: HashMap::new(), old: HashMap::new() };
        Self { generations: Mutex::new(generations), capacity: entries.div_ceil(2) }
    }

    /// What is stored under `name` and has not ended at `now`.
    pub(super) fn get(&self, name: &str, now: Instant) -> Option<T> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = generations.young.get(name) {
            return (now < entry.until).then(|| entry.value.clone());
        }
        let (name, entry) = generations.old.remove_entry(name)?;
        if now >= entry.until {
            return None;
        }
        let value = entry.value.clone();
        generations.insert(name, entry, self.capacity);
        Some(value)
    }

    /// Stores an answer, unless it ends at once.
    pub(super) fn insert(&self, name: &str, value: T, until: Instant, now: Instant) {
        if self.capacity > 0 && now < until {
            let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
            generations.old.remove(name);
            generations.insert(name.into(), Entry { value, until }, self.capacity);
        }
    }
}

impl<T> Generations<T> {
    fn insert(&mut self, name: Box<str>, entry: Entry<T>, capacity: usize) {
        if self.young.len() >= capacity && !self.young.contains_key(&name) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_answer_ends_when_it_says() {
        let (cache, start) = (Cache::new(8), Instant::now());
        let second = Duration::from_secs(1);
        cache.insert("a", 1, start + second, start);
        cache.insert("b", 2, start, start);
        assert_eq!(cache.get("a", start + second - Duration::from_nanos(1)), Some(1));
        assert_eq!(cache.get("a", start + second), None);
        assert_eq!(cache.get("b", start), None);
        cache.insert("a", 3, start + 2 * second, start + second);
        assert_eq!(cache.get("a", start + second), Some(3));
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let (cache, now) = (Cache::new(16), Instant::now());
        let until = now + Duration::from_secs(60);
        cache.insert("used", usize::MAX, until, now);
        for number in 0..1000 {
            cache.insert(&number.to_string(), number, until, now);
            assert_eq!(cache.get("used", now), Some(usize::MAX));
            let generations = cache.generations.lock().unwrap();
            assert!(generations.young.len() + generations.old.len() <= 16);
        }
        assert_eq!(cache.get("999", now), Some(999));
        assert_eq!(cache.get("0", now), None);
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        let (cache, now) = (Cache::new(0), Instant::now());
        cache.insert("a", 1, now + Duration::from_secs(1), now);
        assert_eq!(cache.get("a", now), None);
    }
}
