//! The system's clocks and tokio's tasks (feature `tokio`): what a program hands to its layers,
//! where a test hands them others.

use std::future::Future;
use std::pin::Pin;
use std::time::{Instant, SystemTime};

use crate::clock::{Clock, Sleep, Spawn, Work};

/// The system's clocks, with tokio's timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
    fn sleep_until(&self, deadline: Instant) -> Sleep {
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}

/// Background tasks on the tokio runtime that is running. Outside of one the task is dropped.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioSpawn;

impl Spawn for TokioSpawn {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Dropping the handle lets the task go on.
            drop(runtime.spawn(task));
        }
    }

    fn spawn_blocking(&self, work: Work) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(work));
        }
    }
}
