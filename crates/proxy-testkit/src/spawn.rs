//! Ways to run background tasks: collected and run by hand, or on tokio.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use proxy_core::Spawn;

use crate::lock;
use crate::wakes::WakeCount;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Holds background tasks until a test runs them. A clone holds the same tasks.
///
/// ```
/// use proxy_core::Spawn;
/// use proxy_testkit::CollectedTasks;
///
/// let tasks = CollectedTasks::new();
/// tasks.spawn(Box::pin(async {}));
/// assert_eq!(tasks.started(), 1);
/// assert_eq!(tasks.run_until_stalled(), 0);
/// ```
#[derive(Clone, Default)]
pub struct CollectedTasks(Arc<Mutex<Tasks>>);

#[derive(Default)]
struct Tasks {
    held: Vec<Held>,
    started: usize,
}

struct Held {
    task: Task,
    wakes: WakeCount,
    /// Wakes up to the last poll; none before the first.
    seen: Option<usize>,
}

impl CollectedTasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many tasks were started so far.
    pub fn started(&self) -> usize {
        lock(&self.0).started
    }

    /// How many tasks have not ended.
    pub fn unfinished(&self) -> usize {
        lock(&self.0).held.len()
    }

    /// Polls every task that is new or was woken, also those started meanwhile, until nothing
    /// moves. Gives back how many have not ended.
    pub fn run_until_stalled(&self) -> usize {
        while let Some(mut held) = self.take_woken() {
            held.seen = Some(held.wakes.count());
            let wakes = held.wakes.clone();
            if wakes.poll(|cx| held.task.as_mut().poll(cx)).is_pending() {
                lock(&self.0).held.push(held);
            }
        }
        self.unfinished()
    }

    /// Drops all tasks, as a runtime does that ends.
    pub fn abort_all(&self) {
        let held = std::mem::take(&mut lock(&self.0).held);
        drop(held);
    }

    fn take_woken(&self) -> Option<Held> {
        let mut tasks = lock(&self.0);
        let next = tasks.held.iter().position(|held| held.seen != Some(held.wakes.count()))?;
        Some(tasks.held.remove(next))
    }
}

impl Spawn for CollectedTasks {
    fn spawn(&self, task: Task) {
        let mut tasks = lock(&self.0);
        tasks.started += 1;
        tasks.held.push(Held { task, wakes: WakeCount::new(), seen: None });
    }
}

impl fmt::Debug for CollectedTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectedTasks").field("unfinished", &self.unfinished()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proxy_core::Clock;

    use super::*;
    use crate::ManualClock;

    #[test]
    fn a_task_rests_until_it_is_woken() {
        let (clock, tasks) = (ManualClock::new(), CollectedTasks::new());
        let (more, sleep) =
            (tasks.clone(), clock.sleep_until(clock.now() + Duration::from_secs(1)));
        tasks.spawn(Box::pin(async move {
            sleep.await;
            more.spawn(Box::pin(std::future::pending()));
        }));
        assert_eq!(tasks.run_until_stalled(), 1);
        assert_eq!(tasks.started(), 1);
        clock.advance(Duration::from_secs(1));
        assert_eq!(tasks.run_until_stalled(), 1);
        assert_eq!(tasks.started(), 2);
        tasks.abort_all();
        assert_eq!(tasks.unfinished(), 0);
    }

    #[tokio::test]
    async fn tokio_runs_tasks() {
        let (tx, rx) = tokio::sync::oneshot::channel();
        proxy_core::TokioSpawn.spawn(Box::pin(async move {
            let _ = tx.send(7);
        }));
        assert_eq!(rx.await, Ok(7));
    }
}
