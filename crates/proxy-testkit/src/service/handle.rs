//! The test's side of a stub service.

use std::fmt;
use std::sync::{Arc, Mutex};

use super::{Readiness, SeenRequest, Shared};
use crate::lock;

/// What a test sees of a [`StubService`](super::StubService) and its clones, and what it tells
/// them.
pub struct StubHandle<B, E>(pub(super) Arc<Mutex<Shared<B, E>>>);

impl<B, E> StubHandle<B, E> {
    /// `poll_ready` gives Pending from now on.
    pub fn set_pending(&self) {
        lock(&self.0).readiness = Readiness::Pending;
    }

    /// `poll_ready` gives Ready from now on; wakes whoever waits for that.
    pub fn set_ready(&self) {
        let waker = {
            let mut shared = lock(&self.0);
            shared.readiness = Readiness::Ready;
            shared.ready_waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// `poll_ready` gives this error, then Pending.
    pub fn fail_readiness(&self, error: E) {
        lock(&self.0).readiness = Readiness::Failed(Some(error));
    }

    /// Lets one held answer go, this or the next, and wakes its future.
    pub fn release(&self) {
        let waker = {
            let mut shared = lock(&self.0);
            shared.releases += 1;
            shared.held_waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// How often the service and its clones were called.
    pub fn calls(&self) -> usize {
        lock(&self.0).calls
    }

    /// How often the service was cloned.
    pub fn clones(&self) -> usize {
        lock(&self.0).clones
    }

    /// How many of the service and its clones are alive.
    pub fn live_services(&self) -> usize {
        lock(&self.0).services
    }

    /// How many of its futures are alive.
    pub fn live_futures(&self) -> usize {
        lock(&self.0).futures
    }

    /// What callers did that tower forbids. Each one also panicked.
    pub fn misuses(&self) -> Vec<&'static str> {
        lock(&self.0).misuses.clone()
    }

    /// The oldest answered request that was not taken yet.
    pub fn take_request(&self) -> Option<SeenRequest> {
        lock(&self.0).seen.pop_front()
    }
}

impl<B, E> Clone for StubHandle<B, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B, E> fmt::Debug for StubHandle<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = lock(&self.0);
        f.debug_struct("StubHandle")
            .field("calls", &shared.calls)
            .field("clones", &shared.clones)
            .field("misuses", &shared.misuses)
            .finish_non_exhaustive()
    }
}
