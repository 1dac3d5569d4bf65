//! Draining: every connection is told once, without a lock on its way.
//!
//! A connection registers its waker when it begins and reads two atomics afterwards: how far the
//! end of the server has come, and its own. A drain has [parts](Drain::part), each of which can end
//! by itself: the connections of a listener that is taken away, while all others go on.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Waker};

use proxy_core::{ConnectionInfo, Exchange};
use tokio::sync::Notify;

use crate::connections::{Kind, Live, LiveConnection, LiveTunnel, Place, Table, lock};

/// Tells all connections to finish, and knows when they have. A clone is the same drain.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    phase: AtomicU8,
    /// Those of the whole, wherever this is a part of one.
    connections: Arc<Mutex<Table>>,
    /// Open connections, those of the parts included.
    open: AtomicUsize,
    whole: Option<Drain>,
    parts: Mutex<Vec<Weak<Inner>>>,
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
    /// A part of it: what this one is told, the part is told too, and not the other way round. Its
    /// connections are connections of both.
    #[must_use]
    pub fn part(&self) -> Self {
        let mut parts = lock(&self.inner.parts);
        parts.retain(|part| part.strong_count() > 0);
        // Under the lock, so that no phase passes between.
        let part = Inner {
            phase: AtomicU8::new(self.phase().number()),
            connections: Arc::clone(&self.inner.connections),
            whole: Some(self.clone()),
            ..Inner::default()
        };
        let part = Self { inner: Arc::new(part) };
        parts.push(Arc::downgrade(&part.inner));
        part
    }

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
        self.inner.open.load(Ordering::Acquire)
    }

    /// Everything that is open, in whatever part.
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
        let mut at = Some(self);
        while let Some(drain) = at {
            drain.inner.open.fetch_add(1, Ordering::AcqRel);
            at = drain.inner.whole.as_ref();
        }
        DrainGuard { drain: self.clone(), place, live, waker: None }
    }

    fn advance(&self, phase: u8) {
        self.inner.advance(phase);
        // Those of other parts find that nothing has changed.
        let everything = lock(&self.inner.connections).everything();
        everything.iter().for_each(|live| live.wake());
    }
}

impl Inner {
    fn advance(&self, phase: u8) {
        let parts = lock(&self.parts);
        self.phase.fetch_max(phase, Ordering::AcqRel);
        self.begun.notify_waiters();
        parts.iter().filter_map(Weak::upgrade).for_each(|part| part.advance(phase));
    }
}

/// A connection's registration; it counts as open until this is dropped.
#[derive(Debug)]
pub(crate) struct DrainGuard {
    drain: Drain,
    place: Place,
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

    /// Whether it is ended alone, and not with the server.
    pub(crate) fn is_severed(&self) -> bool {
        self.live.phase() == DrainPhase::Ending
    }

    /// Ends it alone.
    pub(crate) fn sever(&self) {
        self.live.end();
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
    #[cfg(feature = "http3")]
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
        lock(&self.drain.inner.connections).remove(self.place);
        let mut at = Some(&self.drain);
        while let Some(drain) = at {
            if drain.inner.open.fetch_sub(1, Ordering::AcqRel) == 1 {
                drain.inner.emptied.notify_waiters();
            }
            at = drain.inner.whole.as_ref();
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
    async fn a_part_ends_by_itself_and_with_the_whole() {
        let drain = Drain::default();
        let (first, second) = (drain.part(), drain.part());
        let guards = (first.register_any(), second.register_any());
        assert_eq!((drain.open(), first.open(), second.open()), (2, 1, 1));
        assert_eq!(drain.connections().count(), 2);
        first.drain();
        assert_eq!(guards.0.phase(), DrainPhase::Draining);
        assert_eq!((guards.1.phase(), drain.phase()), (DrainPhase::Serving, DrainPhase::Serving));
        drop(guards.0);
        first.emptied().await;
        assert_eq!((drain.open(), second.open()), (1, 1));
        drain.end();
        assert_eq!(guards.1.phase(), DrainPhase::Ending);
        drop(guards.1);
        drain.emptied().await;
        assert_eq!(drain.part().phase(), DrainPhase::Ending, "a part that is made later");
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
