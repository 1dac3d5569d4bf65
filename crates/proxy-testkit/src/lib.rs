#![doc = include_str!("../README.md")]

pub mod body;
pub mod clock;
pub mod contract;
pub mod exchange;
pub mod service;
pub mod spawn;
pub mod wakes;

pub use body::{BodyProbe, PoisonBody, ScriptedBody, Step};
pub use clock::ManualClock;
pub use contract::{LayerContract, assert_layer_contract};
pub use exchange::{ConnectionBuilder, ExchangeBuilder, InterimLog};
pub use proxy_core::TokioSpawn;
pub use service::{Answer, StubHandle, StubService};
pub use spawn::CollectedTasks;
pub use wakes::{WakeCount, poll_once};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A stub that panics on purpose may do so under a lock; what it guards stays usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
