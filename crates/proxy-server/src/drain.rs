//! Draining: every connection is told once, without a lock on its way.
//!
//! A connection registers its waker when it begins and reads one atomic afterwards.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use tokio::sync::Notify;

/// Tells all connections to finish, and knows when they have.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    phase: AtomicU8,
    connections: Mutex<Connections>,
    emptied: Notify,
    begun: Notify,
}

#[derive(Debug, Default)]
struct Connections {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
    open: usize,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainPhase {
    /// Not at all.
    Serving,
    /// Load balancers are being told: new connections are still taken, and each answer says that
    /// it is the last on its connection.
    LameDuck,
    /// What is in flight finishes; nothing new begins on a connection.
    Draining,
    /// Everything ends now.
    Ending,
}

impl Drain {
    /// How far the end has come.
    pub fn phase(&self) -> DrainPhase {
        match self.inner.phase.load(Ordering::Acquire) {
            0 => DrainPhase::Serving,
            1 => DrainPhase::LameDuck,
            2 => DrainPhase::Draining,
            _ => DrainPhase::Ending,
        }
    }

    /// Asks clients to go elsewhere, and serves them meanwhile.
    pub fn lame_duck(&self) {
        self.advance(1);
    }

    /// Lets what is in flight finish.
    pub fn drain(&self) {
        self.advance(2);
    }

    /// Ends everything.
    pub fn end(&self) {
        self.advance(3);
    }

    /// Waits until the drain begins.
    pub async fn begun(&self) {
        loop {
            let notified = self.inner.begun.notified();
            if self.phase() >= DrainPhase::Draining {
                return;
            }
            notified.await;
        }
    }

    /// Open connections, tunnels included.
    pub fn open(&self) -> usize {
        self.inner.lock().open
    }

    /// Waits until no connection is open.
    pub async fn emptied(&self) {
        loop {
            let notified = self.inner.emptied.notified();
            if self.open() == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Registers a connection.
    pub(crate) fn register(&self) -> DrainGuard {
        let mut connections = self.inner.lock();
        connections.open += 1;
        let key = connections.free.pop().unwrap_or_else(|| {
            connections.wakers.push(None);
            connections.wakers.len() - 1
        });
        DrainGuard { drain: self.clone(), key, waker: None }
    }

    fn advance(&self, phase: u8) {
        self.inner.phase.fetch_max(phase, Ordering::AcqRel);
        let wakers: Vec<Waker> = self.inner.lock().wakers.iter().flatten().cloned().collect();
        self.inner.begun.notify_waiters();
        for waker in wakers {
            waker.wake();
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's registration; it counts as open until this is dropped.
#[derive(Debug)]
pub(crate) struct DrainGuard {
    drain: Drain,
    key: usize,
    waker: Option<Waker>,
}

impl DrainGuard {
    /// The phase; the task is woken when it changes.
    pub(crate) fn poll_phase(&mut self, cx: &Context<'_>) -> DrainPhase {
        if !self.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            self.drain.inner.lock().wakers[self.key] = self.waker.clone();
        }
        self.drain.phase()
    }

    /// The phase, for who is woken by something else.
    pub(crate) fn phase(&self) -> DrainPhase {
        self.drain.phase()
    }
}

impl Drop for DrainGuard {
    fn drop(&mut self) {
        let mut connections = self.drain.inner.lock();
        connections.wakers[self.key] = None;
        connections.free.push(self.key);
        connections.open -= 1;
        if connections.open == 0 {
            // A server that had many connections once gives the table back.
            *connections = Connections::default();
            drop(connections);
            self.drain.inner.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;

    #[tokio::test]
    async fn a_waiting_connection_is_woken() {
        let drain = Drain::default();
        let mut guard = drain.register();
        let task = tokio::spawn(async move {
            poll_fn(|cx| match guard.poll_phase(cx) {
                DrainPhase::Serving | DrainPhase::LameDuck => Poll::Pending,
                _ => Poll::Ready(()),
            })
            .await;
            drop(guard);
        });
        tokio::task::yield_now().await;
        drain.drain();
        drain.emptied().await;
        task.await.expect("task");
        assert_eq!(drain.open(), 0);
    }
}
