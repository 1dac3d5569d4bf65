//! Time, as something that is handed in.
//!
//! Layers never read a clock of their own: a test turns a manual clock and all
//! time in the stack moves with it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// A future that ends at some instant. Named, so that layers can hold one.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Monotonic and wall time.
pub trait Clock: Send + Sync + 'static {
    /// The monotonic time now; for durations and deadlines.
    fn now(&self) -> Instant;

    /// The wall time now; for fields and logs.
    fn wall(&self) -> SystemTime;

    /// Ends when `now()` has reached `deadline`.
    fn sleep_until(&self, deadline: Instant) -> Sleep;
}

/// How far away a time is that no clock can tell: thirty years.
pub(crate) const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// What `start` and a length of time come to. Where that is a time which no clock can tell, it is
/// thirty years away: nobody waits for its end.
pub fn later(start: Instant, time: Duration) -> Instant {
    start.checked_add(time).unwrap_or_else(|| start + FAR)
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Instant {
        (**self).now()
    }
    fn wall(&self) -> SystemTime {
        (**self).wall()
    }
    fn sleep_until(&self, deadline: Instant) -> Sleep {
        (**self).sleep_until(deadline)
    }
}

/// Runs a future in the background. Layers never spawn by themselves.
pub trait Spawn: Send + Sync + 'static {
    /// Starts the task; it is dropped when its runtime ends.
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);

    /// Starts work that takes its time without a pause, where it keeps no other task waiting. By
    /// default it is a task like others.
    fn spawn_blocking(&self, work: Work) {
        self.spawn(Box::pin(async move { work() }));
    }
}

/// Work that is done in one go.
pub type Work = Box<dyn FnOnce() + Send>;

impl<S: Spawn + ?Sized> Spawn for Arc<S> {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        (**self).spawn(task);
    }
    fn spawn_blocking(&self, work: Work) {
        (**self).spawn_blocking(work);
    }
}
