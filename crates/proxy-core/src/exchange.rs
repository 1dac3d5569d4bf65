//! `Exchange`: the one record of a request and its answer.
//!
//! The server makes it, every layer appends what it decided, and access log, metrics,
//! `Proxy-Status` and whatever comes later are views of it. Layers work without it.

mod attempt;
mod decision;
mod exchanges;
mod known;
mod program_run;
mod rehearsal;
mod sent_fields;
mod trace;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use http::{Extensions, HeaderMap, StatusCode, Uri, Version};

pub use attempt::{Attempt, Attempts};
pub use decision::{Decision, Verdict};
pub use exchanges::Exchanges;
pub use known::{ServerName, Tags};
pub use program_run::ProgramRun;
pub use rehearsal::Sending;
pub use sent_fields::SentFields;
pub use trace::{AttemptMark, LayerAtWork, LayerMark, Marks, Trace, TraceContext};

use crate::activity::ConnectionActivity;
use crate::client_address::ClientAddr;
use crate::error::ErrorKind;
use crate::hex;
use crate::target::TargetForm;
use crate::tls::{ClientCertificate, TlsInfo};

/// What is known of a connection from its first byte on; shared by all its exchanges.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// A number unique in this process.
    pub id: u64,
    /// The listener's name.
    pub listener: Arc<str>,
    /// The peer's own address, or the one a PROXY protocol header of a trusted peer gave.
    pub peer: ClientAddr,
    /// Whether the peer is one of the listener's trusted proxies.
    pub peer_trusted: bool,
    /// The address the peer reached; none on a unix socket.
    pub local: Option<SocketAddr>,
    /// The scheme of requests that do not name one: `http`, or `https` behind a handshake.
    pub scheme: &'static str,
    /// What TLS says, where the connection has it.
    pub tls: Option<Arc<TlsInfo>>,
    /// The tunnel inside of which it was found, where it was decrypted.
    pub parent: Option<Arc<ParentTunnel>>,
    /// When it was accepted.
    pub accepted: Instant,
    /// What happens on it.
    pub activity: Arc<ConnectionActivity>,
}

/// An intercepted tunnel, as the connection inside of it knows it.
#[derive(Clone, Debug)]
pub struct ParentTunnel {
    /// The host that CONNECT named, in lower case; an IPv6 address without brackets.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
    /// The id of the CONNECT request, for whoever follows records.
    pub id: Box<str>,
    /// Who opened it, where credentials were verified.
    pub user: Option<Arc<str>>,
    /// The certificate that its client has shown.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl ParentTunnel {
    /// The authority of requests inside of it, without the port of `https`.
    pub fn authority(&self) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        match self.port {
            443 => format!("{open}{}{close}", self.host),
            port => format!("{open}{}{close}:{port}", self.host),
        }
    }
}

/// What hygiene saw of a request before it removed anything.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    /// The target as it came.
    pub raw_target: Uri,
    /// Its form (RFC 9112 section 3.2).
    pub form: TargetForm,
    /// The client's version.
    pub version: Version,
    /// Whether the client takes trailers (`TE: trailers`).
    pub takes_trailers: bool,
    /// Whether the client waits for 100 (Continue).
    pub expects_continue: bool,
    /// Its fields, before any was taken away or added.
    pub sent_fields: SentFields,
}

/// Relays interim (1xx) responses to the client while the final one is awaited.
pub trait InterimSink: Send + Sync + 'static {
    /// Queues an interim response. False where the client can not take it (HTTP/1.0, too many).
    fn send(&self, status: StatusCode, fields: &HeaderMap) -> bool;
}

/// The record of one request and its answer. A clone is the same record.
#[derive(Clone)]
pub struct Exchange(Arc<Record>);

struct Record {
    id: u128,
    given_id: OnceLock<Box<str>>,
    connection: Arc<ConnectionInfo>,
    started: Instant,
    started_wall: SystemTime,
    interim: Option<Arc<dyn InterimSink>>,
    facts: OnceLock<RequestFacts>,
    client: OnceLock<ClientAddr>,
    route: OnceLock<Arc<str>>,
    user: OnceLock<Arc<str>>,
    trace: OnceLock<Trace>,
    error: OnceLock<ErrorKind>,
    decisions: Mutex<Vec<Decision>>,
    attempts: Mutex<Attempts>,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    request_whole: AtomicBool,
    ending: AtomicU8,
    rehearsal: AtomicBool,
    /// Whether a decision is for the audit trail.
    audited: AtomicBool,
    slots: Mutex<Extensions>,
}

/// How an exchange ended, seen from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// Not yet.
    Open = 0,
    /// The whole response was handed to the connection.
    Complete = 1,
    /// The client left before the response was whole.
    ClientLeft = 2,
    /// The response broke off: the upstream failed in mid-content.
    UpstreamBroke = 3,
    /// The connection became a tunnel.
    Tunnel = 4,
}

impl Ending {
    /// The word in the log.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::ClientLeft => "client_left",
            Self::UpstreamBroke => "upstream_broke",
            Self::Tunnel => "tunnel",
        }
    }
}

impl Exchange {
    /// A new record. `id` should not be guessable from the previous one.
    pub fn new(
        id: u128,
        connection: Arc<ConnectionInfo>,
        started: Instant,
        started_wall: SystemTime,
        interim: Option<Arc<dyn InterimSink>>,
    ) -> Self {
        Self(Arc::new(Record {
            id,
            given_id: OnceLock::new(),
            connection,
            started,
            started_wall,
            interim,
            facts: OnceLock::new(),
            client: OnceLock::new(),
            route: OnceLock::new(),
            user: OnceLock::new(),
            trace: OnceLock::new(),
            error: OnceLock::new(),
            decisions: Mutex::new(Vec::new()),
            attempts: Mutex::new(Attempts::default()),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            request_whole: AtomicBool::new(false),
            ending: AtomicU8::new(0),
            rehearsal: AtomicBool::new(false),
            audited: AtomicBool::new(false),
            slots: Mutex::new(Extensions::new()),
        }))
    }

    /// The record in a request's extensions, where a server put one.
    pub fn of<B>(request: &http::Request<B>) -> Option<&Self> {
        request.extensions().get()
    }

    /// The id to show: the one a trusted peer gave, else 32 hex digits of our own.
    pub fn id(&self) -> ExchangeId<'_> {
        ExchangeId(match self.0.given_id.get() {
            Some(given) => Id::Given(given),
            None => Id::Made(self.0.id),
        })
    }

    /// Ids of a trace that begins here: trace id and span id (W3C Trace Context), never zero.
    pub fn trace_ids(&self) -> (u128, u64) {
        let folded = (self.0.id >> 64) as u64 ^ self.0.id as u64;
        (self.0.id.max(1), folded.max(1))
    }

    /// Takes over an id that a trusted peer gave. The first one stays.
    pub fn set_given_id(&self, id: &str) {
        let _ = self.0.given_id.set(id.into());
    }

    /// Declares it a rehearsal: it shows what the layers decide and does nothing else. Nothing is
    /// sent, stored, counted or begun for it. Whoever makes the record says so before a layer sees
    /// it; whoever would send the request writes a [`Sending`] instead, and answers with nothing.
    pub fn set_rehearsal(&self) {
        self.0.rehearsal.store(true, Ordering::Relaxed);
    }

    /// Whether it is a rehearsal. A layer that changes anything but the message asks.
    pub fn is_rehearsal(&self) -> bool {
        self.0.rehearsal.load(Ordering::Relaxed)
    }

    /// The connection it came on.
    pub fn connection(&self) -> &Arc<ConnectionInfo> {
        &self.0.connection
    }

    /// When its head was complete.
    pub fn started(&self) -> Instant {
        self.0.started
    }

    /// The same in wall time.
    pub fn started_wall(&self) -> SystemTime {
        self.0.started_wall
    }

    /// Where interim responses go, if the client takes them.
    pub fn interim(&self) -> Option<&Arc<dyn InterimSink>> {
        self.0.interim.as_ref()
    }

    /// What hygiene saw.
    pub fn facts(&self) -> Option<&RequestFacts> {
        self.0.facts.get()
    }

    /// Writes the facts. The first ones stay.
    pub fn set_facts(&self, facts: RequestFacts) {
        let _ = self.0.facts.set(facts);
    }

    /// The client's address: the trusted one once it is known, else the peer's.
    pub fn client(&self) -> ClientAddr {
        self.0.client.get().copied().unwrap_or(self.0.connection.peer)
    }

    /// Writes the trusted client address. The first one stays.
    pub fn set_client(&self, client: ClientAddr) {
        if self.0.connection.peer_trusted {
            self.0.connection.activity.note_client(client);
        }
        let _ = self.0.client.set(client);
    }

    /// The route's name.
    pub fn route(&self) -> Option<&Arc<str>> {
        self.0.route.get()
    }

    /// Writes the route. The first one stays.
    pub fn set_route(&self, name: Arc<str>) {
        self.0.connection.activity.note_route(&name);
        let _ = self.0.route.set(name);
    }

    /// Who asks, once credentials are verified: a name of the configuration or of its lists.
    pub fn user(&self) -> Option<&Arc<str>> {
        self.0.user.get()
    }

    /// Writes who asks. Only what was verified is written. The first one stays.
    pub fn set_user(&self, user: Arc<str>) {
        let _ = self.0.user.set(user);
    }

    /// Its trace: what it came with, or what was begun for it. None where nobody looked.
    pub fn trace(&self) -> Option<&Trace> {
        self.0.trace.get()
    }

    /// Writes its trace. The first one stays.
    pub fn set_trace(&self, trace: Trace) {
        let _ = self.0.trace.set(trace);
    }

    /// Says that a layer is at work from now on, until what this gives is dropped: a span in its
    /// trace. None where nothing is recorded.
    pub fn begin_layer(&self, layer: &'static str) -> Option<LayerAtWork> {
        LayerAtWork::begin(self, layer)
    }

    /// The error that the answer stands for.
    pub fn error(&self) -> Option<ErrorKind> {
        self.0.error.get().copied()
    }

    /// Writes the error. The first one stays.
    pub fn set_error(&self, kind: ErrorKind) {
        let _ = self.0.error.set(kind);
    }

    /// Appends a decision: the call by which any layer becomes visible in every view.
    pub fn decide(&self, decision: Decision) {
        let audited = decision.verdict.is_audited();
        let mut decisions = lock(&self.0.decisions);
        if let Some(trace) = self.0.trace.get() {
            trace.mark_decision();
        }
        decisions.push(decision);
        drop(decisions);
        if audited {
            self.0.audited.store(true, Ordering::Release);
        }
    }

    /// Whether any decision so far is [for the audit](Verdict::is_audited): one load, so that an
    /// exchange without such a decision pays no more.
    pub fn is_audited(&self) -> bool {
        self.0.audited.load(Ordering::Acquire)
    }

    /// Reads the decisions so far.
    pub fn with_decisions<T>(&self, read: impl FnOnce(&[Decision]) -> T) -> T {
        read(&lock(&self.0.decisions))
    }

    /// Reads or changes the upstream attempts.
    pub fn with_attempts<T>(&self, f: impl FnOnce(&mut Attempts) -> T) -> T {
        let mut attempts = lock(&self.0.attempts);
        let before = attempts.len();
        let given = f(&mut attempts);
        if attempts.len() > before
            && let Some(trace) = self.0.trace.get()
        {
            trace.mark_attempt();
        }
        given
    }

    /// Counts content bytes received from the client.
    pub fn add_request_bytes(&self, n: u64) {
        self.0.request_bytes.fetch_add(n, Ordering::Relaxed);
    }

    /// Content bytes received from the client.
    pub fn request_bytes(&self) -> u64 {
        self.0.request_bytes.load(Ordering::Relaxed)
    }

    /// Counts content bytes handed to the client's connection.
    pub fn add_response_bytes(&self, n: u64) {
        self.0.response_bytes.fetch_add(n, Ordering::Relaxed);
    }

    /// Content bytes handed to the client's connection.
    pub fn response_bytes(&self) -> u64 {
        self.0.response_bytes.load(Ordering::Relaxed)
    }

    /// Says that the request's content has come to its end, or that there is none.
    pub fn set_request_whole(&self) {
        self.0.request_whole.store(true, Ordering::Relaxed);
    }

    /// Whether the request's content has been read to its end. False where nobody says so.
    pub fn is_request_whole(&self) -> bool {
        self.0.request_whole.load(Ordering::Relaxed)
    }

    /// How it ended.
    pub fn ending(&self) -> Ending {
        match self.0.ending.load(Ordering::Acquire) {
            1 => Ending::Complete,
            2 => Ending::ClientLeft,
            3 => Ending::UpstreamBroke,
            4 => Ending::Tunnel,
            _ => Ending::Open,
        }
    }

    /// Writes how it ended. The first one stays.
    pub fn set_ending(&self, ending: Ending) {
        let open = Ending::Open as u8;
        let _ =
            self.0.ending.compare_exchange(open, ending as u8, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Puts a value of a layer's own type into the record; gives back the one that was there.
    pub fn insert<T: Clone + Send + Sync + 'static>(&self, value: T) -> Option<T> {
        lock(&self.0.slots).insert(value)
    }

    /// A clone of the value of this type.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        lock(&self.0.slots).get::<T>().cloned()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("id", &format_args!("{}", self.id()))
            .field("route", &self.route())
            .finish_non_exhaustive()
    }
}

/// A printable exchange id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ExchangeId<'a>(Id<'a>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Id<'a> {
    Made(u128),
    Given(&'a str),
}

impl ExchangeId<'_> {
    /// Appends it: the same as displaying it, at a fraction of the cost.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.0 {
            Id::Made(id) => {
                let mut text = [0; 32];
                hex::write(id, &mut text);
                out.extend_from_slice(&text);
            }
            Id::Given(id) => out.extend_from_slice(id.as_bytes()),
        }
    }
}

impl fmt::Display for ExchangeId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Id::Made(id) => {
                let mut text = [0; 32];
                hex::write(id, &mut text);
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())
            }
            Id::Given(id) => f.write_str(id),
        }
    }
}

/// A poisoned lock still holds a usable record: appending to it can not break it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange() -> Exchange {
        Exchange::new(
            7,
            Arc::new(ConnectionInfo {
                id: 1,
                listener: "web".into(),
                peer: ClientAddr::unknown(),
                peer_trusted: false,
                local: None,
                scheme: "http",
                tls: None,
                parent: None,
                accepted: Instant::now(),
                activity: Arc::default(),
            }),
            Instant::now(),
            SystemTime::UNIX_EPOCH,
            None,
        )
    }

    #[test]
    fn slots_are_set_once() {
        let exchange = exchange();
        exchange.set_route("a".into());
        exchange.set_route("b".into());
        assert_eq!(exchange.route().map(|r| &**r), Some("a"));
        exchange.set_user("anna".into());
        exchange.set_user("otto".into());
        assert_eq!(exchange.user().map(|u| &**u), Some("anna"));
        exchange.set_ending(Ending::ClientLeft);
        exchange.set_ending(Ending::Complete);
        assert_eq!(exchange.ending(), Ending::ClientLeft);
    }

    #[test]
    fn a_denial_is_for_the_audit_and_an_allowance_is_not() {
        let exchange = exchange();
        let decision = |verdict| Decision { layer: "t", rule: None, verdict, reason: "r".into() };
        for verdict in [Verdict::Allow, Verdict::Modify, Verdict::Fail] {
            exchange.decide(decision(verdict));
        }
        assert!(!exchange.is_audited());
        exchange.decide(decision(Verdict::Report));
        assert!(exchange.is_audited());
    }

    #[test]
    fn a_third_party_layer_has_its_own_slot() {
        #[derive(Clone, PartialEq, Debug)]
        struct Mine(u8);
        let exchange = exchange();
        exchange.insert(Mine(3));
        assert_eq!(exchange.clone().get::<Mine>(), Some(Mine(3)));
    }

    #[test]
    fn a_given_id_replaces_ours() {
        let exchange = exchange();
        assert_eq!(exchange.id().to_string(), format!("{:032x}", 7));
        exchange.set_given_id("abc");
        assert_eq!(exchange.id().to_string(), "abc");
    }
}
