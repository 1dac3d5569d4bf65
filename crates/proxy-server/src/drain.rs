//! Draining: every connection is told once, without a lock on its way.
//!
//! A connection registers its waker when it begins and reads two atomics afterwards: how far the
//! end of the server has come, and its own.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use proxy_core::{ConnectionInfo, Exchange};
use tokio::sync::Notify;

use crate::connections::{Kind, Live, LiveConnection, LiveTunnel, Table, lock};

/// Tells all connections to finish, and knows when they have.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    phase: AtomicU8,
    connections: Mutex<Table>,
    emptied: Notify,
    begun: Notify,
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

impl DrainPhase {
    pub(crate) const fn of(number: u8) -> Self {
        match number {
            0 => Self::Serving,
            1 => Self::LameDuck,
            2 => Self::Draining,
            _ => Self::Ending,
        }
    }

    pub(crate) const fn number(self) -> u8 {
        self as u8
    }
}

impl Drain {
    /// How far the end has come.
    pub fn phase(&self) -> DrainPhase {
        DrainPhase::of(self.inner.phase.load(Ordering::Acquire))
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
        lock(&self.inner.connections).open()
    }

    /// Everything that is open.
    pub fn connections(&self) -> impl Iterator<Item = LiveConnection> {
        lock(&self.inner.connections).all().into_iter().map(LiveConnection)
    }

    /// A page of what is open: what has the smallest numbers after `after`, in order, at most
    /// `most`.
    pub fn connections_after(
        &self,
        after: u64,
        most: usize,
    ) -> impl Iterator<Item = LiveConnection> {
        lock(&self.inner.connections).some(after, most).into_iter().map(LiveConnection)
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
    pub(crate) fn register(&self, info: &Arc<ConnectionInfo>) -> DrainGuard {
        self.add(info.id, Kind::Connection, info)
    }

    /// Registers a tunnel on a stream of a connection, with a number of its own.
    pub(crate) fn register_stream(&self, id: u64, info: &Arc<ConnectionInfo>) -> DrainGuard {
        self.add(id, Kind::Stream, info)
    }

    /// Registers what is no connection, and must outlive the last one.
    #[cfg(feature = "http3")]
    pub(crate) fn register_endpoint(&self) -> DrainGuard {
        let none = ConnectionInfo {
            id: 0,
            listener: "".into(),
            peer: proxy_core::ClientAddr::unknown(),
            peer_trusted: false,
            local: None,
            scheme: "",
            tls: None,
            parent: None,
            accepted: std::time::Instant::now(),
            activity: Arc::default(),
        };
        self.add(none.id, Kind::Endpoint, &Arc::new(none))
    }

    fn add(&self, id: u64, kind: Kind, info: &Arc<ConnectionInfo>) -> DrainGuard {
        let (place, live) = lock(&self.inner.connections).add(id, kind, info);
        DrainGuard { drain: self.clone(), place, live, waker: None }
    }

    fn advance(&self, phase: u8) {
        self.inner.phase.fetch_max(phase, Ordering::AcqRel);
        let everything = lock(&self.inner.connections).everything();
        self.inner.begun.notify_waiters();
        everything.iter().for_each(|live| live.wake());
    }
}

/// A connection's registration; it counts as open until this is dropped.
#[derive(Debug)]
pub(crate) struct DrainGuard {
    drain: Drain,
    place: usize,
    live: Arc<Live>,
    waker: Option<Waker>,
}

impl DrainGuard {
    /// The phase; the task is woken when it changes.
    pub(crate) fn poll_phase(&mut self, cx: &Context<'_>) -> DrainPhase {
        if !self.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            self.live.set_waker(cx.waker());
        }
        self.phase()
    }

    /// The phase, for who is woken by something else.
    pub(crate) fn phase(&self) -> DrainPhase {
        self.drain.phase().max(self.live.phase())
    }

    /// More is known of the connection.
    pub(crate) fn set_info(&self, info: &Arc<ConnectionInfo>) {
        self.live.set_info(info);
    }

    /// The connection counts its bytes itself.
    pub(crate) fn set_meter(&self, meter: impl Fn() -> (u64, u64) + Send + Sync + 'static) {
        self.live.set_meter(meter);
    }

    /// The connection, or the stream, is a tunnel from here on.
    pub(crate) fn set_tunnel(&self, exchange: Option<&Exchange>) {
        self.live.set_tunnel(exchange);
    }

    /// The tunnel that it is.
    pub(crate) fn tunnel(&self) -> Option<&LiveTunnel> {
        self.live.tunnel()
    }
}

impl Drop for DrainGuard {
    fn drop(&mut self) {
        let was_last = lock(&self.drain.inner.connections).remove(self.place);
        if was_last {
            self.drain.inner.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
impl Drain {
    /// A connection of which nothing matters.
    pub(crate) fn register_any(&self) -> DrainGuard {
        use proxy_testkit::{ConnectionBuilder, ManualClock};
        self.register(&ConnectionBuilder::new().build(&ManualClock::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;

    use proxy_testkit::{ConnectionBuilder, ManualClock};

    #[tokio::test]
    async fn a_waiting_connection_is_woken() {
        let drain = Drain::default();
        let mut guard = drain.register_any();
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

    #[tokio::test]
    async fn one_connection_is_told_to_end_and_others_are_not() {
        let drain = Drain::default();
        let clock = ManualClock::new();
        let mut guards: Vec<_> = [1, 2]
            .map(|id| drain.register(&ConnectionBuilder::new().id(id).build(&clock)))
            .into_iter()
            .collect();
        let mut second = guards.pop().expect("two");
        let first = guards.pop().expect("two");
        let task = tokio::spawn(async move {
            poll_fn(|cx| match second.poll_phase(cx) {
                DrainPhase::Ending => Poll::Ready(()),
                _ => Poll::Pending,
            })
            .await;
        });
        tokio::task::yield_now().await;
        let live = drain.connections_after(1, 10).next().expect("the second one");
        assert!(!live.is_ending());
        live.end();
        task.await.expect("task");
        assert!(live.is_ending());
        assert_eq!(first.phase(), DrainPhase::Serving);
        let left: Vec<u64> = drain.connections().map(|live| live.id()).collect();
        assert_eq!(left, [1]);
    }
}
