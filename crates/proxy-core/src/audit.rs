//! The audit trail: what is recorded, and the sink that takes it.
//!
//! Whatever refuses, reports, limits, challenges or decides about interception ends up as one
//! [`AuditRecord`] in an [`AuditSink`]. Layers do not call the sink: they write
//! [`Exchange::decide`](crate::Exchange::decide), and the observer makes records of the decisions
//! that are [for the audit](crate::Verdict::is_audited). What decides outside of an exchange (a
//! connection that is refused, a configuration that changes) makes the record itself.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::StatusCode;

use crate::client_address::ClientAddr;
use crate::exchange::{Exchange, Verdict};

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuditEvent {
    /// A layer decided about a request.
    Decision,
    /// A connection was refused before it sent a request.
    ConnectionRefused,
    /// The edge answered a malformed, late or oversized head itself.
    HeadRefused,
    /// A tunnel ended.
    TunnelClosed,
    /// The configuration took effect, at the start or by a reload, or was refused.
    Configuration,
    /// An operator asked for something through the admin listener.
    Administration,
}

impl AuditEvent {
    /// The word in the record.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::ConnectionRefused => "connection_refused",
            Self::HeadRefused => "head_refused",
            Self::TunnelClosed => "tunnel_closed",
            Self::Configuration => "configuration",
            Self::Administration => "administration",
        }
    }
}

/// One event of the audit trail, as its source knows it. Sequence, configuration generation and
/// whatever protects the trail are the sink's, and so is the view of the client's address.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditRecord<'a> {
    /// When it happened.
    pub time: SystemTime,
    /// What happened.
    pub event: AuditEvent,
    /// The exchange: its id, client, route and user are the record's.
    pub exchange: Option<&'a Exchange>,
    /// The client, where there is no exchange.
    pub client: Option<ClientAddr>,
    /// The listener's name.
    pub listener: Option<&'a str>,
    /// The layer that decided, or the part of the server.
    pub layer: &'a str,
    /// The id of the rule.
    pub rule: Option<&'a str>,
    /// What was decided.
    pub verdict: Verdict,
    /// Why, as a token.
    pub reason: &'a str,
    /// The request's method.
    pub method: Option<&'a str>,
    /// The host that was asked for, without userinfo.
    pub host: Option<Cow<'a, str>>,
    /// Path and query as they may be shown; of CONNECT host and port.
    pub target: Option<Cow<'a, str>>,
    /// The status of the answer.
    pub status: Option<StatusCode>,
    /// Bytes that a tunnel carried to the upstream, and from it.
    pub carried: Option<(u64, u64)>,
    /// How long a tunnel stood.
    pub duration: Option<Duration>,
    /// More, in the operator's words and never in a client's: the digest of a configuration, say.
    pub detail: Option<Cow<'a, str>>,
}

impl<'a> AuditRecord<'a> {
    /// A record with nothing but what every record has.
    pub const fn new(
        time: SystemTime,
        event: AuditEvent,
        layer: &'a str,
        verdict: Verdict,
        reason: &'a str,
    ) -> Self {
        Self {
            time,
            event,
            exchange: None,
            client: None,
            listener: None,
            layer,
            rule: None,
            verdict,
            reason,
            method: None,
            host: None,
            target: None,
            status: None,
            carried: None,
            duration: None,
            detail: None,
        }
    }

    /// The client that the record is about: the exchange's, else the one that was given.
    pub fn client(&self) -> Option<ClientAddr> {
        self.exchange.map(Exchange::client).or(self.client)
    }
}

/// What became of a record that was handed to a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditAnswer {
    /// It is in the sink's hands.
    Taken,
    /// It was counted into an earlier record that is like it.
    Counted,
    /// The sink is full, or gone: the record is lost, and counted as lost.
    Lost,
}

/// Takes records of the audit trail. Called on the worker, in a drop as a rule: it must neither
/// block nor panic, whatever becomes of the record.
///
/// What happens to *requests* while a sink is full is decided at the door of the stack, where a
/// request can wait or be refused: see [`can_take`](Self::can_take).
pub trait AuditSink: Send + Sync + 'static {
    /// Takes one record, or says that it did not.
    fn record(&self, record: &AuditRecord<'_>) -> AuditAnswer;

    /// Whether the sink takes records at present: false while it is full or its last write failed.
    /// A sink that answers false has still room for the records of the requests under way.
    fn can_take(&self) -> bool {
        true
    }
}

/// Nobody keeps records.
impl AuditSink for () {
    fn record(&self, _: &AuditRecord<'_>) -> AuditAnswer {
        AuditAnswer::Lost
    }
}
