//! The open connections: who they are, and how each one is told to end.
//!
//! A connection is registered when it is accepted, and gone when it is dropped. A tunnel on one
//! stream of an HTTP/2 or HTTP/3 connection is registered beside its connection, so that it can be
//! seen and ended alone.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use proxy_core::{ConnectionInfo, Exchange};

use crate::drain::DrainPhase;

/// An open connection, or a tunnel on a stream of one. A clone is the same; that one is held does
/// not keep it open.
#[derive(Clone, Debug)]
pub struct LiveConnection(pub(crate) Arc<Live>);

/// See [`LiveConnection`].
pub(crate) struct Live {
    id: u64,
    kind: Kind,
    /// Changes twice in the life of a connection: behind a PROXY protocol header, and behind the
    /// handshake.
    info: Mutex<Arc<ConnectionInfo>>,
    /// How far its own end has come, whatever the server does.
    phase: AtomicU8,
    waker: Mutex<Option<Waker>>,
    tunnel: OnceLock<LiveTunnel>,
    meter: OnceLock<Meter>,
}

/// What is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connection,
    /// A tunnel on a stream.
    Stream,
    /// What has to outlive the last connection; it is in no list.
    Endpoint,
}

/// Gives the bytes that came and went, for a connection that counts them itself.
type Meter = Box<dyn Fn() -> (u64, u64) + Send + Sync>;

/// What is known of a tunnel while it stands.
#[derive(Debug)]
pub struct LiveTunnel {
    exchange: Option<Exchange>,
    /// From the client to the upstream, and back.
    moved: (AtomicU64, AtomicU64),
}

impl LiveTunnel {
    /// The record of the CONNECT request that opened it: its id, user, client and route.
    pub const fn exchange(&self) -> Option<&Exchange> {
        self.exchange.as_ref()
    }

    /// The host that CONNECT named, with the port.
    pub fn host(&self) -> Option<&str> {
        let facts = self.exchange.as_ref()?.facts()?;
        Some(facts.raw_target.authority()?.as_str())
    }

    pub(crate) fn set_moved(&self, sent: u64, received: u64) {
        self.moved.0.store(sent, Ordering::Relaxed);
        self.moved.1.store(received, Ordering::Relaxed);
    }

    /// Bytes from the client to the upstream.
    pub fn sent(&self) -> u64 {
        self.moved.0.load(Ordering::Relaxed)
    }

    /// Bytes from the upstream to the client.
    pub fn received(&self) -> u64 {
        self.moved.1.load(Ordering::Relaxed)
    }
}

/// What a connection does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// It was accepted; a PROXY protocol header, a handshake or the first bytes are waited for.
    Opening,
    /// It waits for a request.
    Idle,
    /// At least one request is under way.
    Active,
    /// It is a tunnel.
    Tunnel,
}

impl ConnectionState {
    /// The word in lists.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Idle => "idle",
            Self::Active => "active",
            Self::Tunnel => "tunnel",
        }
    }
}

impl LiveConnection {
    /// Its number, unique in this process: that of the [`ConnectionInfo`], or for a tunnel on a
    /// stream one of its own.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Whether it is a tunnel on one stream of the connection in [`info`](Self::info), which has
    /// an entry of its own.
    pub fn is_stream(&self) -> bool {
        self.0.kind == Kind::Stream
    }

    /// The connection.
    pub fn info(&self) -> Arc<ConnectionInfo> {
        Arc::clone(&lock(&self.0.info))
    }

    /// The tunnel that it has become.
    pub fn tunnel(&self) -> Option<&LiveTunnel> {
        self.0.tunnel.get()
    }

    /// What it does at the moment.
    pub fn state(&self) -> ConnectionState {
        let activity = &lock(&self.0.info).activity;
        if self.0.tunnel.get().is_some() {
            ConnectionState::Tunnel
        } else if activity.under_way() > 0 {
            ConnectionState::Active
        } else if activity.protocol().is_some() {
            ConnectionState::Idle
        } else {
            ConnectionState::Opening
        }
    }

    /// Bytes that came on the connection, and that went out: as they pass the socket, with TLS,
    /// or over QUIC with all of its packets. Of a tunnel on a stream what it carried.
    pub fn bytes(&self) -> (u64, u64) {
        if let (true, Some(tunnel)) = (self.is_stream(), self.tunnel()) {
            return (tunnel.sent(), tunnel.received());
        }
        if let Some(meter) = self.0.meter.get() {
            return meter();
        }
        let activity = &lock(&self.0.info).activity;
        (activity.received(), activity.sent())
    }

    /// Whether it was told to end, by one of the two below.
    pub fn is_ending(&self) -> bool {
        self.0.phase() != DrainPhase::Serving
    }

    /// Lets what is under way finish, and takes nothing new. A tunnel goes on.
    pub fn finish(&self) {
        self.0.advance(DrainPhase::Draining);
    }

    /// Ends it now, whatever is under way.
    pub fn end(&self) {
        self.0.end();
    }
}

impl Live {
    pub(crate) fn end(&self) {
        self.advance(DrainPhase::Ending);
    }

    fn is_listed(&self) -> bool {
        self.kind != Kind::Endpoint
    }

    fn advance(&self, phase: DrainPhase) {
        self.phase.fetch_max(phase.number(), Ordering::AcqRel);
        self.wake();
    }

    pub(crate) fn wake(&self) {
        let waker = lock(&self.waker).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn set_waker(&self, waker: &Waker) {
        *lock(&self.waker) = Some(waker.clone());
    }

    pub(crate) fn phase(&self) -> DrainPhase {
        DrainPhase::of(self.phase.load(Ordering::Acquire))
    }

    pub(crate) fn set_info(&self, info: &Arc<ConnectionInfo>) {
        *lock(&self.info) = Arc::clone(info);
    }

    #[cfg(feature = "http3")]
    pub(crate) fn set_meter(&self, meter: impl Fn() -> (u64, u64) + Send + Sync + 'static) {
        let _ = self.meter.set(Box::new(meter));
    }

    /// It is a tunnel from here on.
    pub(crate) fn set_tunnel(&self, exchange: Option<&Exchange>) {
        let exchange = exchange.cloned();
        let _ = self.tunnel.set(LiveTunnel { exchange, moved: Default::default() });
    }

    pub(crate) fn tunnel(&self) -> Option<&LiveTunnel> {
        self.tunnel.get()
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("id", &self.id).finish_non_exhaustive()
    }
}

/// All that are open, by their numbers: a page of them takes no longer where many are.
#[derive(Debug, Default)]
pub(crate) struct Table {
    all: BTreeMap<Place, Arc<Live>>,
    added: u64,
}

/// Where one is: its number, and one that keeps those apart that have none of their own.
pub(crate) type Place = (u64, u64);

impl Table {
    /// Gives its place.
    pub(crate) fn add(
        &mut self,
        id: u64,
        kind: Kind,
        info: &Arc<ConnectionInfo>,
    ) -> (Place, Arc<Live>) {
        let live = Arc::new(Live {
            id,
            kind,
            info: Mutex::new(Arc::clone(info)),
            phase: AtomicU8::new(0),
            waker: Mutex::default(),
            tunnel: OnceLock::new(),
            meter: OnceLock::new(),
        });
        self.added += 1;
        let place = (id, self.added);
        self.all.insert(place, Arc::clone(&live));
        (place, live)
    }

    pub(crate) fn remove(&mut self, place: Place) {
        self.all.remove(&place);
    }

    /// Everything that is to be told something.
    pub(crate) fn everything(&self) -> Vec<Arc<Live>> {
        self.all.values().cloned().collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.all.values().filter(|live| live.is_listed()).cloned().collect()
    }

    /// Those with the smallest numbers after `after`, in order, at most `most`.
    pub(crate) fn some(&self, after: u64, most: usize) -> Vec<Arc<Live>> {
        let later = (Bound::Excluded((after, u64::MAX)), Bound::Unbounded);
        let later = self.all.range(later).map(|(_, live)| live);
        later.filter(|live| live.is_listed()).take(most).cloned().collect()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proxy_testkit::{ConnectionBuilder, ManualClock};

    use super::*;

    #[test]
    fn pages_are_in_order_and_bounded() {
        let info = ConnectionBuilder::new().build(&ManualClock::new());
        let mut table = Table::default();
        for id in [7, 3, 9, 1, 5] {
            table.add(id, Kind::Connection, &info);
        }
        table.add(4, Kind::Endpoint, &info);
        let ids = |after, most| -> Vec<u64> {
            table.some(after, most).iter().map(|live| live.id).collect()
        };
        assert_eq!(ids(0, 3), [1, 3, 5]);
        assert_eq!(ids(5, 3), [7, 9]);
        assert_eq!(ids(0, 0), [0_u64; 0]);
        assert_eq!(ids(9, 3), [0_u64; 0]);
        let places: Vec<Place> = table.all.keys().copied().collect();
        places.into_iter().for_each(|place| table.remove(place));
        assert!(table.all.is_empty());
    }
}
