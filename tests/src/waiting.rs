//! Waiting for a condition, with a deadline that only a failure reaches.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The deadline of every wait that has no reason for another: generous, because the machine that
/// runs the tests may be busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Polls `condition` until it gives a value; panics with `what` after [`PATIENCE`].
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, condition)
}

/// Polls `condition` until it gives a value; panics with `what` after `limit`.
pub fn until_within<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A gate that one thread opens and others wait at: it orders events without a sleep.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens it, for good.
    pub fn open(&self) {
        *self.0.0.lock().expect("gate") = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open; `false` after [`PATIENCE`].
    #[must_use]
    pub fn wait(&self) -> bool {
        let guard = self.0.0.lock().expect("gate");
        let (open, _) = self.0.1.wait_timeout_while(guard, PATIENCE, |open| !*open).expect("gate");
        *open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_through_who_waits() {
        let gate = Gate::new();
        let other = gate.clone();
        let waiter = std::thread::spawn(move || other.wait());
        gate.open();
        assert!(waiter.join().expect("join"));
    }
}
