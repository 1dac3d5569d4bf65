//! The test's side of a scripted body.

use std::fmt;
use std::sync::{Arc, Mutex};

use http_body::SizeHint;

use super::{Script, Step};
use crate::lock;

/// What a test sees of a [`ScriptedBody`](crate::ScriptedBody), wherever that has gone.
#[derive(Clone)]
pub struct BodyProbe(pub(super) Arc<Mutex<Script>>);

impl BodyProbe {
    /// How often it was polled.
    pub fn polls(&self) -> usize {
        lock(&self.0).polls
    }

    /// How often it was polled after its end; each one also panics.
    pub fn polls_after_end(&self) -> usize {
        lock(&self.0).polls_after_end
    }

    /// Whether its last poll gave pending.
    pub fn is_waiting(&self) -> bool {
        lock(&self.0).waiting
    }

    /// Whether it gave `None` or an error.
    pub fn is_ended(&self) -> bool {
        lock(&self.0).ended
    }

    /// Whether it is gone.
    pub fn is_dropped(&self) -> bool {
        lock(&self.0).dropped
    }

    /// The step that comes next.
    pub fn next_step(&self) -> Option<Step> {
        lock(&self.0).steps.front().cloned()
    }

    /// What it says of its end now.
    pub fn is_end_stream(&self) -> bool {
        lock(&self.0).is_end_stream()
    }

    /// What it says of its size now.
    pub fn size_hint(&self) -> SizeHint {
        lock(&self.0).size_hint()
    }

    /// Ends one [`Step::Wait`], this or the next, and wakes whoever polled last.
    pub fn release(&self) {
        let waker = {
            let mut script = lock(&self.0);
            script.releases += 1;
            script.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl fmt::Debug for BodyProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let script = lock(&self.0);
        f.debug_struct("BodyProbe")
            .field("polls", &script.polls)
            .field("ended", &script.ended)
            .field("dropped", &script.dropped)
            .finish_non_exhaustive()
    }
}
