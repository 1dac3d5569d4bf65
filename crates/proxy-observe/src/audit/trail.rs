//! `AuditTrail`: makes records of what an observer sees.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use proxy_core::{
    AuditEvent, AuditRecord, AuditSink, ConnectionEvent, ConnectionInfo, ConnectionRefusal,
    Decision, Ending, PathPolicy, TunnelEnd, Verdict,
};

use crate::observer::Sink;
use crate::record::{Record, RequestLine};
use crate::redaction::Redaction;
use crate::shown_target;

/// A [`Sink`] that hands what is [for the audit](Verdict::is_audited) to an [`AuditSink`]: each
/// such decision, connections and heads that were refused, and the end of each tunnel.
#[derive(Clone)]
pub struct AuditTrail {
    sink: Arc<dyn AuditSink>,
    redaction: Redaction,
    path_policy: PathPolicy,
}

impl AuditTrail {
    /// Into this sink; paths in their normal form, queries as redaction allows.
    pub fn new(sink: Arc<dyn AuditSink>, redaction: Redaction, path_policy: PathPolicy) -> Self {
        Self { sink, redaction, path_policy }
    }

    fn request<'a>(&self, record: &mut AuditRecord<'a>, request: &'a RequestLine) {
        record.method = Some(request.method.as_str());
        record.host = shown_target::host(request).map(String::from_utf8_lossy);
        let parts = shown_target::parts(request, self.path_policy, &self.redaction);
        record.target = Some(match parts {
            [path, mark, _] if mark.is_empty() => path,
            parts => Cow::Owned(parts.concat()),
        });
    }
}

impl Sink for AuditTrail {
    fn decided(&self, seen: &Record<'_>, decision: &Decision, time: SystemTime) {
        let Decision { layer, rule, verdict, reason } = decision;
        let mut record = AuditRecord::new(time, AuditEvent::Decision, layer, *verdict, reason);
        record.rule = rule.as_deref();
        record.exchange = Some(seen.exchange);
        record.status = seen.status;
        self.request(&mut record, seen.request);
        let _ = self.sink.record(&record);
    }

    fn finished(&self, seen: &Record<'_>) {
        if seen.ending != Ending::Tunnel {
            return;
        }
        let outcome = seen.tunnel;
        let (verdict, reason) = match outcome.map(|outcome| outcome.end) {
            None => (Verdict::Allow, "connection_closed"),
            Some(end) => (ended(end), end.token()),
        };
        let time = seen.exchange.started_wall() + seen.duration;
        let mut record =
            AuditRecord::new(time, AuditEvent::TunnelClosed, "tunnel", verdict, reason);
        record.exchange = Some(seen.exchange);
        record.carried = outcome.map(|outcome| (outcome.sent, outcome.received));
        record.duration = outcome.map(|outcome| outcome.duration);
        self.request(&mut record, seen.request);
        let _ = self.sink.record(&record);
    }

    fn connection(&self, on: &ConnectionInfo, event: ConnectionEvent<'_>, time: SystemTime) {
        let mut record = match event {
            ConnectionEvent::Refused(refusal) => {
                let event = AuditEvent::ConnectionRefused;
                let verdict = match refusal {
                    ConnectionRefusal::TotalLimit | ConnectionRefusal::ClientLimit => {
                        Verdict::Limit
                    }
                    _ => Verdict::Deny,
                };
                AuditRecord::new(time, event, "accept", verdict, refusal.token())
            }
            ConnectionEvent::HeadRefused { status, reason } => {
                let event = AuditEvent::HeadRefused;
                let mut record = AuditRecord::new(time, event, "edge", Verdict::Deny, reason);
                record.status = Some(status);
                record
            }
            // Whoever is not let in for who they are, or are not.
            ConnectionEvent::HandshakeFailed { reason }
                if reason.starts_with("client_certificate") =>
            {
                let event = AuditEvent::ConnectionRefused;
                AuditRecord::new(time, event, "tls", Verdict::Deny, reason)
            }
            _ => return,
        };
        record.client = Some(on.peer);
        record.listener = Some(&on.listener);
        let _ = self.sink.record(&record);
    }
}

/// What the proxy ended itself was a limit of it.
const fn ended(end: TunnelEnd) -> Verdict {
    match end {
        TunnelEnd::Idle | TunnelEnd::Lifetime => Verdict::Limit,
        _ => Verdict::Allow,
    }
}

impl std::fmt::Debug for AuditTrail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditTrail").field("redaction", &self.redaction).finish_non_exhaustive()
    }
}
