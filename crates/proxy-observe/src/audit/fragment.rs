//! What a record says, as the inside of a JSON object: everything but its place in the chain.

use std::io::Write as _;
use std::time::SystemTime;

use proxy_core::{AddressPrivacy, AuditEvent, AuditRecord, Exchange};

use super::repeats::Repeated;
use crate::date::Civil;
use crate::escape;

/// A record in pieces, for what repeats is told by one of them.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// The client as it is shown; empty where there is none.
    pub(super) client: Vec<u8>,
    /// What is the same in a repetition.
    pub(super) rest: Vec<u8>,
}

impl Pieces {
    pub(super) fn of(record: &AuditRecord<'_>, privacy: &AddressPrivacy, generation: u64) -> Self {
        let mut own = Self::default();
        if let Some(client) = record.client() {
            client.view(privacy).write(&mut own.client);
        }
        let out = &mut own.rest;
        text(out, "layer", record.layer.as_bytes());
        if let Some(rule) = record.rule {
            text(out, "rule", rule.as_bytes());
        }
        text(out, "verdict", record.verdict.token().as_bytes());
        text(out, "reason", record.reason.as_bytes());
        let exchange = record.exchange;
        let listener = exchange.map(|x| &*x.connection().listener).or(record.listener);
        if let Some(listener) = listener {
            text(out, "listener", listener.as_bytes());
        }
        if let Some(route) = exchange.and_then(Exchange::route) {
            text(out, "route", route.as_bytes());
        }
        if let Some(user) = exchange.and_then(Exchange::user) {
            text(out, "user", user.as_bytes());
        }
        if let Some(status) = record.status {
            number(out, "status", u64::from(status.as_u16()));
        }
        if let Some(detail) = &record.detail {
            text(out, "detail", detail.as_bytes());
        }
        number(out, "generation", generation);
        own
    }

    /// The whole of it.
    pub(super) fn whole(&self, record: &AuditRecord<'_>) -> Vec<u8> {
        let mut out = begun(record.time, record.event);
        if let Some(exchange) = record.exchange {
            let mut id = Vec::with_capacity(32);
            exchange.id().write(&mut id);
            text(&mut out, "id", &id);
        }
        if !self.client.is_empty() {
            text(&mut out, "client", &self.client);
        }
        out.extend_from_slice(&self.rest);
        let strings = [
            ("method", record.method),
            ("host", record.host.as_deref()),
            ("target", record.target.as_deref()),
        ];
        for (key, value) in strings {
            if let Some(value) = value {
                text(&mut out, key, cut(value).as_bytes());
            }
        }
        if let Some(duration) = record.duration {
            number(&mut out, "duration_ms", duration.as_millis().try_into().unwrap_or(u64::MAX));
        }
        carried(&mut out, record.carried);
        out
    }
}

/// A hostile target makes no record larger than this allows.
const LONGEST: usize = 2048;

fn cut(value: &str) -> &str {
    let mut end = value.len().min(LONGEST);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

/// How often something was repeated.
pub(super) fn repeated(entry: &Repeated) -> Vec<u8> {
    let mut out = named(entry.last, "repeated");
    number(&mut out, "count", entry.count);
    time(&mut out, "first", entry.first);
    if let Some(client) = entry.client.as_ref().filter(|client| !client.is_empty()) {
        text(&mut out, "client", client);
    }
    out.extend_from_slice(&entry.rest);
    carried(&mut out, entry.carried);
    out
}

/// Records were lost.
pub(super) fn lost(now: SystemTime, count: u64) -> Vec<u8> {
    let mut out = named(now, "lost");
    number(&mut out, "count", count);
    out
}

/// The bytes before this record are no record.
pub(super) fn torn(now: SystemTime, bytes: u64) -> Vec<u8> {
    let mut out = named(now, "torn");
    number(&mut out, "bytes", bytes);
    out
}

/// The key has been past these records already: somebody cut them off, or a crash lost them.
pub(super) fn missing(now: SystemTime, first: u64, last: u64) -> Vec<u8> {
    let mut out = named(now, "missing");
    number(&mut out, "first", first);
    number(&mut out, "last", last);
    out
}

/// A file begins, or is gone on with.
pub(super) fn opened(now: SystemTime, reason: &str, keyed: bool) -> Vec<u8> {
    let mut out = named(now, "opened");
    text(&mut out, "reason", reason.as_bytes());
    out.extend_from_slice(if keyed { b",\"keyed\":true" } else { b",\"keyed\":false" });
    out
}

fn begun(now: SystemTime, event: AuditEvent) -> Vec<u8> {
    named(now, event.token())
}

fn named(now: SystemTime, event: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"\"time\":\"");
    Civil::of(now).rfc3339(&mut out);
    out.push(b'"');
    text(&mut out, "event", event.as_bytes());
    out
}

fn carried(out: &mut Vec<u8>, carried: Option<(u64, u64)>) {
    if let Some((sent, received)) = carried {
        number(out, "sent_bytes", sent);
        number(out, "received_bytes", received);
    }
}

fn time(out: &mut Vec<u8>, key: &str, value: SystemTime) {
    let _ = write!(out, ",\"{key}\":\"");
    Civil::of(value).rfc3339(out);
    out.push(b'"');
}

fn text(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let _ = write!(out, ",\"{key}\":\"");
    escape::json(out, value);
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    let _ = write!(out, ",\"{key}\":{value}");
}
