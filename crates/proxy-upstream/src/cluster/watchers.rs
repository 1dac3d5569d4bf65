//! Who waits for an answer of an endpoint, and is told when a check finds it down.
//!
//! Each attempt that has to wait comes here and leaves again, so it has to be cheap: a lock and a place in a
//! vector each time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The tasks that wait for an endpoint. There are never more places than there were requests at a time.
///
/// A waker may be the last that knows its task, and end it with whatever that holds: none is dropped
/// under the lock.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often it was found down.
    falls: u64,
    tasks: Vec<Option<Waker>>,
    /// Places in `tasks` where nobody is.
    free: Vec<usize>,
}

/// A place among the watchers of an endpoint; whoever has it [leaves](Watchers::leave) again.
#[derive(Debug)]
pub(crate) struct Watcher {
    place: usize,
    /// The falls that it knows of.
    falls: u64,
}

impl Watchers {
    /// Whether the endpoint was found down since the last look; the first look is the beginning. With
    /// the next fall the task is woken.
    pub(super) fn look(&self, watcher: &mut Option<Watcher>, task: &Waker) -> bool {
        let mut state = self.state();
        let falls = state.falls;
        let Some(watcher) = watcher else {
            let place = state.enter(task.clone());
            *watcher = Some(Watcher { place, falls });
            return false;
        };
        let before = match &mut state.tasks[watcher.place] {
            Some(known) if known.will_wake(task) => None,
            known => known.replace(task.clone()),
        };
        drop(state);
        drop(before);
        std::mem::replace(&mut watcher.falls, falls) != falls
    }

    /// Gives the place back.
    pub(super) fn leave(&self, watcher: &Watcher) {
        let mut state = self.state();
        state.free.push(watcher.place);
        let task = state.tasks[watcher.place].take();
        drop(state);
        drop(task);
    }

    /// Tells everybody that the endpoint is down.
    pub(super) fn tell(&self) {
        let tasks: Vec<Waker> = {
            let mut state = self.state();
            state.falls += 1;
            state.tasks.iter().flatten().cloned().collect()
        };
        tasks.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, task: Waker) -> usize {
        if let Some(place) = self.free.pop() {
            self.tasks[place] = Some(task);
            return place;
        }
        self.tasks.push(Some(task));
        self.tasks.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn each_fall_is_told_once_to_each_who_waits() {
        let watchers = Watchers::default();
        let [(one, one_task), (other, other_task)] = [task(), task()];
        let (mut first, mut second) = (None, None);
        watchers.tell();
        assert!(!watchers.look(&mut first, &one_task), "what was before it came is not its own");
        assert!(!watchers.look(&mut second, &other_task));
        for _ in 0..2 {
            watchers.tell();
            assert!(watchers.look(&mut first, &one_task));
            assert!(!watchers.look(&mut first, &one_task));
        }
        assert!(watchers.look(&mut second, &other_task), "falls that were not looked at are one");
        assert_eq!([&one, &other].map(|count| count.0.load(Ordering::Relaxed)), [2, 2]);
    }

    #[test]
    fn the_task_that_looked_last_is_woken() {
        let watchers = Watchers::default();
        let [(one, one_task), (other, other_task)] = [task(), task()];
        let mut watcher = None;
        watchers.look(&mut watcher, &one_task);
        watchers.look(&mut watcher, &other_task);
        watchers.tell();
        assert_eq!([&one, &other].map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
    }

    #[test]
    fn who_has_left_is_not_woken_and_leaves_nothing() {
        let watchers = Watchers::default();
        let (count, task) = task();
        for _ in 0..1_000 {
            let (mut one, mut other) = (None, None);
            watchers.look(&mut one, &task);
            watchers.look(&mut other, &task);
            for watcher in [one, other].into_iter().flatten() {
                watchers.leave(&watcher);
            }
        }
        watchers.tell();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        assert_eq!(watchers.state().tasks.len(), 2, "places are used again");
        drop(task);
        assert_eq!(Arc::strong_count(&count), 1);
    }
}
