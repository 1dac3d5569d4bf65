//! `Observer`: hands finished records and connection events to the sinks.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use proxy_core::{
    Clock, ConnectionEvent, ConnectionEvents, ConnectionInfo, Decision, Exchange, RequestHead,
};

use crate::record::{Open, Record};
use crate::registry::Records;

/// Receives finished records and connection events. Called on the worker, in a drop as a rule:
/// must neither block nor panic.
pub trait Sink: Send + Sync + 'static {
    /// A request came in, as the client sent it. Each one that starts is
    /// [finished](Self::finished) once.
    fn started(&self, exchange: &Exchange, request: RequestHead<'_>) {
        let _ = (exchange, request);
    }

    /// A decision [for the audit](proxy_core::Verdict::is_audited) was made about an exchange.
    /// Called once for each, at this wall time: when the response's head is there, and at the end
    /// for what came later. The record is what is known by then.
    fn decided(&self, record: &Record<'_>, decision: &Decision, time: SystemTime) {
        let _ = (record, decision, time);
    }

    /// An exchange ended.
    fn finished(&self, record: &Record<'_>);

    /// Something happened on a connection, at this wall time.
    fn connection(
        &self,
        connection: &ConnectionInfo,
        event: ConnectionEvent<'_>,
        time: SystemTime,
    ) {
        let _ = (connection, event, time);
    }

    /// Whether it reads more of [`Record::request`] than the method. Where no sink does, the head
    /// is not kept.
    fn reads_heads(&self) -> bool {
        true
    }
}

/// The meeting point of the layer, the server's connection events and the sinks. A clone is the
/// same observer; it outlives a reload, which replaces the sinks alone.
#[derive(Clone)]
pub struct Observer(Arc<Shared>);

#[allow(clippy::vec_box, reason = "the record keeps the box it was made in")]
type Tunnels = HashMap<u64, Vec<Box<Open>>>;

struct Shared {
    clock: Arc<dyn Clock>,
    sinks: ArcSwap<Sinks>,
    /// Whether a server reports events here, so that the end of a tunnel will be heard.
    hears_events: AtomicBool,
    /// Records of open tunnels by connection; several where one connection carries several.
    tunnels: Mutex<Tunnels>,
    /// Trusted peers are told where the time went.
    server_timing: AtomicBool,
    /// Makes exchanges where no server does.
    records: Option<Records>,
}

struct Sinks {
    all: Box<[Arc<dyn Sink>]>,
    read_heads: bool,
}

impl Sinks {
    fn new(sinks: impl IntoIterator<Item = Arc<dyn Sink>>) -> Self {
        let all: Box<[_]> = sinks.into_iter().collect();
        Self { read_heads: all.iter().any(|sink| sink.reads_heads()), all }
    }
}

impl Observer {
    /// An observer with these sinks.
    pub fn new(clock: Arc<dyn Clock>, sinks: impl IntoIterator<Item = Arc<dyn Sink>>) -> Self {
        Self::with(clock, sinks, None)
    }

    /// The same, for a host whose server makes no exchanges.
    pub(crate) fn making(
        clock: Arc<dyn Clock>,
        sinks: impl IntoIterator<Item = Arc<dyn Sink>>,
        records: Records,
    ) -> Self {
        Self::with(clock, sinks, Some(records))
    }

    fn with(
        clock: Arc<dyn Clock>,
        sinks: impl IntoIterator<Item = Arc<dyn Sink>>,
        records: Option<Records>,
    ) -> Self {
        Self(Arc::new(Shared {
            clock,
            sinks: ArcSwap::from_pointee(Sinks::new(sinks)),
            hears_events: AtomicBool::new(false),
            tunnels: Mutex::default(),
            server_timing: AtomicBool::new(false),
            records,
        }))
    }

    pub(crate) fn records(&self) -> Option<&Records> {
        self.0.records.as_ref()
    }

    /// Replaces the sinks, as a reload does. Exchanges under way finish in the new ones.
    pub fn set_sinks(&self, sinks: impl IntoIterator<Item = Arc<dyn Sink>>) {
        self.0.sinks.store(Arc::new(Sinks::new(sinks)));
    }

    /// Whether responses to trusted peers get a `Server-Timing`. Default: no.
    pub fn set_server_timing(&self, told: bool) {
        self.0.server_timing.store(told, Ordering::Relaxed);
    }

    pub(crate) fn tells_timing(&self) -> bool {
        self.0.server_timing.load(Ordering::Relaxed)
    }

    /// How many tunnels are open whose end will be recorded.
    pub fn open_tunnels(&self) -> usize {
        self.tunnels().values().map(Vec::len).sum()
    }

    /// Tells the sinks that a request came; says whether any of them reads heads.
    pub(crate) fn started(&self, exchange: &Exchange, request: RequestHead<'_>) -> bool {
        let sinks = self.0.sinks.load();
        sinks.all.iter().for_each(|sink| sink.started(exchange, request));
        sinks.read_heads
    }

    pub(crate) fn decided(&self, record: &Record<'_>, decisions: &[Decision]) {
        let sinks = self.0.sinks.load();
        let time = self.0.clock.wall();
        for decision in decisions {
            sinks.all.iter().for_each(|sink| sink.decided(record, decision, time));
        }
    }

    pub(crate) fn finished(&self, record: &Record<'_>) {
        self.0.sinks.load().all.iter().for_each(|sink| sink.finished(record));
    }

    pub(crate) fn since(&self, start: Instant) -> Duration {
        self.0.clock.now().saturating_duration_since(start)
    }

    /// Keeps the record of a tunnel until its end is reported; gives it back where none will be.
    pub(crate) fn keep_tunnel(&self, open: Box<Open>) -> Option<Box<Open>> {
        let connection = open.exchange().connection().id;
        // A record that was made here belongs to no connection of the server that reports events.
        if connection == 0 || !self.0.hears_events.load(Ordering::Relaxed) {
            return Some(open);
        }
        self.tunnels().entry(connection).or_default().push(open);
        None
    }

    fn take_tunnel(&self, connection: u64, exchange: Option<&Exchange>) -> Option<Box<Open>> {
        let mut tunnels = self.tunnels();
        let kept = tunnels.get_mut(&connection)?;
        let at = match exchange {
            Some(exchange) => kept.iter().position(|open| open.exchange().id() == exchange.id())?,
            None => 0,
        };
        let open = kept.remove(at);
        if kept.is_empty() {
            tunnels.remove(&connection);
        }
        Some(open)
    }

    fn tunnels(&self) -> MutexGuard<'_, Tunnels> {
        self.0.tunnels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionEvents for Observer {
    fn on_event(&self, connection: &ConnectionInfo, event: ConnectionEvent<'_>) {
        if !self.0.hears_events.load(Ordering::Relaxed) {
            self.0.hears_events.store(true, Ordering::Relaxed);
        }
        match event {
            ConnectionEvent::TunnelClosed { exchange, outcome } => {
                if let Some(open) = self.take_tunnel(connection.id, exchange) {
                    open.tunnel_ended(*outcome);
                }
            }
            // A tunnel whose end was not reported ends with its connection at the latest. The
            // lock is free again before the records are finished.
            ConnectionEvent::Closed => {
                let left = self.tunnels().remove(&connection.id);
                drop(left);
            }
            _ => {}
        }
        let sinks = self.0.sinks.load();
        if !sinks.all.is_empty() {
            let time = self.0.clock.wall();
            sinks.all.iter().for_each(|sink| sink.connection(connection, event, time));
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sinks = self.0.sinks.load().all.len();
        f.debug_struct("Observer").field("sinks", &sinks).finish_non_exhaustive()
    }
}
