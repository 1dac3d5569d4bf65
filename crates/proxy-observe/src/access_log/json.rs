//! The JSON format.

use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use proxy_core::decimal::write_ipv4;
use proxy_core::exchange::{Attempts, ProgramRun};
use proxy_core::{Attempt, Exchange, TlsInfo, Verdict};

use super::facts;
use super::format::{LogEntry, RefusedHead};
use crate::date::Civil;
use crate::termination::Termination;
use crate::{escape, shown_target};

/// The line of an exchange, without its end.
pub(super) fn exchange(out: &mut Vec<u8>, entry: &LogEntry<'_>) {
    let LogEntry { record, config, .. } = *entry;
    let exchange = record.exchange;
    let request = record.request;
    let connection = exchange.connection();
    out.extend_from_slice(b"{\"time\":\"");
    Civil::of(exchange.started_wall()).rfc3339(out);
    out.push(b'"');
    out.extend_from_slice(b",\"id\":\"");
    let start = out.len();
    exchange.id().write(out);
    // Ours needs no escapes; one that was given may.
    if !escape::is_all_plain(&out[start..]) {
        let given = out.split_off(start);
        escape::json(out, &given);
    }
    out.push(b'"');
    if let Some(trace) = exchange.trace() {
        out.extend_from_slice(b",\"trace_id\":\"");
        let _ = write!(escape::Json(out), "{:032x}", trace.context.trace_id);
        out.push(b'"');
    }
    text(out, ",\"listener\":\"", connection.listener.as_bytes());
    number(out, ",\"connection\":", connection.id);
    out.extend_from_slice(b",\"client\":\"");
    exchange.client().view(&config.privacy).write(out);
    out.push(b'"');
    if config.users
        && let Some(user) = exchange.user()
    {
        text(out, ",\"user\":\"", user.as_bytes());
    }
    text(out, ",\"method\":\"", request.method.as_str().as_bytes());
    if request.method != Method::CONNECT {
        text(
            out,
            ",\"scheme\":\"",
            request.target.scheme_str().unwrap_or(connection.scheme).as_bytes(),
        );
    }
    if let Some(host) = shown_target::host(request) {
        text(out, ",\"host\":\"", host);
    }
    out.extend_from_slice(b",\"target\":\"");
    shown_target::parts(request, config.path_policy, &config.redaction)
        .iter()
        .for_each(|part| escape::json(out, part.as_bytes()));
    out.push(b'"');
    token(out, ",\"protocol\":\"", shown_target::protocol(request.version));
    if let Some(info) = &connection.tls {
        tls(out, info, config.users);
    }
    match record.status {
        Some(status) => number(out, ",\"status\":", u64::from(status.as_u16())),
        None => out.extend_from_slice(b",\"status\":null"),
    }
    number(out, ",\"request_bytes\":", record.request_bytes());
    number(out, ",\"response_bytes\":", record.response_bytes());
    number(out, ",\"since_accept_us\":", micros(facts::since_accept(exchange)));
    if let Some(time) = record.answered_after {
        number(out, ",\"answered_us\":", micros(time));
    }
    number(out, ",\"duration_us\":", micros(record.duration));
    if entry.slow {
        out.extend_from_slice(b",\"slow\":true");
    }
    if let Some(share) = entry.sample {
        out.extend_from_slice(b",\"sample\":");
        let _ = write!(escape::Json(out), "{share}");
    }
    exchange.with_attempts(|attempts| upstream(out, attempts));
    if let Some(route) = exchange.route() {
        text(out, ",\"route\":\"", route.as_bytes());
    }
    if let Some(run) = exchange.get::<ProgramRun>() {
        program(out, &run);
    }
    if let Some(error) = exchange.error() {
        token(out, ",\"error\":\"", error.token());
    }
    decisions(out, exchange);
    if exchange.is_audited() {
        reported(out, exchange);
    }
    if let Some(coding) = record.coding {
        text(out, ",\"coding\":\"", coding.as_bytes());
    }
    token(out, ",\"ending\":\"", record.ending.token());
    termination(out, entry.termination);
    if let Some(tunnel) = record.tunnel {
        token(out, ",\"tunnel_end\":\"", tunnel.end.token());
    }
    if let Some(value) = config.user_agent(request) {
        text(out, ",\"user_agent\":\"", value);
    }
    if let Some(value) = config.referer(request) {
        text(out, ",\"referer\":\"", &value);
    }
    out.push(b'}');
}

/// The line of a head that the edge refused, without its end.
pub(super) fn refused_head(out: &mut Vec<u8>, head: &RefusedHead<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    Civil::of(head.time).rfc3339(out);
    out.push(b'"');
    text(out, ",\"listener\":\"", head.connection.listener.as_bytes());
    number(out, ",\"connection\":", head.connection.id);
    shown(out, ",\"client\":\"", &head.connection.peer.view(&head.config.privacy));
    token(out, ",\"method\":\"", "-");
    number(out, ",\"status\":", u64::from(head.status.as_u16()));
    text(out, ",\"reason\":\"", head.reason.as_bytes());
    token(out, ",\"ending\":\"", "head_refused");
    termination(out, Termination::of_refused_head(head.status));
    out.push(b'}');
}

/// Where the response came from: the last attempt, how many there were, and those before it.
fn upstream(out: &mut Vec<u8>, attempts: &Attempts) {
    let Some(last) = attempts.last() else { return };
    number(out, ",\"upstream\":{\"attempts\":", attempts.len() as u64);
    attempt(out, last);
    if attempts.len() > 1 {
        out.extend_from_slice(b",\"failed\":[");
        for (at, earlier) in attempts.iter().take(attempts.len() - 1).take(SHOWN).enumerate() {
            number(out, if at == 0 { "{\"n\":" } else { ",{\"n\":" }, at as u64 + 1);
            attempt(out, earlier);
            out.push(b'}');
        }
        out.push(b']');
    }
    out.push(b'}');
}

/// Attempts that one line shows.
const SHOWN: usize = 16;

fn attempt(out: &mut Vec<u8>, attempt: &Attempt) {
    if let Some(name) = &attempt.upstream {
        text(out, ",\"name\":\"", name.as_bytes());
    }
    if let Some(address) = attempt.address {
        out.extend_from_slice(b",\"address\":\"");
        socket_address(out, address);
        out.push(b'"');
    }
    out.extend_from_slice(if attempt.reused { b",\"reused\":true" } else { b",\"reused\":false" });
    if let Some(status) = attempt.status {
        number(out, ",\"status\":", u64::from(status.as_u16()));
    }
    if let Some(error) = attempt.error {
        token(out, ",\"error\":\"", error.token());
    }
    for (key, time) in [
        (",\"dns_us\":", attempt.dns),
        (",\"connect_us\":", attempt.connect),
        (",\"tls_us\":", attempt.tls),
        (",\"first_byte_us\":", attempt.first_byte),
    ] {
        if let Some(time) = time {
            number(out, key, micros(time));
        }
    }
}

/// The client's side of TLS; who it is by its certificate only where users are shown.
fn tls(out: &mut Vec<u8>, info: &TlsInfo, users: bool) {
    token(out, ",\"tls\":{\"version\":\"", info.version);
    token(out, ",\"cipher\":\"", info.cipher);
    if let Some(group) = info.group {
        token(out, ",\"group\":\"", group);
    }
    if let Some(name) = &info.server_name {
        text(out, ",\"server_name\":\"", name.as_bytes());
    }
    if info.resumed {
        out.extend_from_slice(b",\"resumed\":true");
    }
    if let Some(client) = info.client.as_ref().filter(|_| users) {
        text(out, ",\"client\":\"", client.subject.as_bytes());
    }
    out.push(b'}');
}

/// The program that answered.
fn program(out: &mut Vec<u8>, run: &ProgramRun) {
    token(out, ",\"exec\":{\"why\":\"", run.why);
    for (key, value) in [(",\"exit\":", run.exit), (",\"signal\":", run.signal)] {
        if let Some(value) = value {
            number(out, key, u64::try_from(value).unwrap_or_default());
        }
    }
    number(out, ",\"queued_us\":", micros(run.queued));
    number(out, ",\"user_us\":", micros(run.user));
    number(out, ",\"system_us\":", micros(run.system));
    number(out, ",\"peak_memory\":", run.peak_memory);
    out.push(b'}');
}

/// As `Display` writes it, which takes a multiple of the time.
fn socket_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(v4) => {
            write_ipv4(out, *v4.ip());
            out.push(b':');
            out.extend_from_slice(itoa::Buffer::new().format(v4.port()).as_bytes());
        }
        SocketAddr::V6(v6) => {
            let _ = write!(escape::Json(out), "{v6}");
        }
    }
}

/// What was decided: what the cache did, and the last refusal.
fn decisions(out: &mut Vec<u8>, exchange: &Exchange) {
    exchange.with_decisions(|decisions| {
        if let Some(cache) = facts::cache(decisions) {
            text(out, ",\"cache\":\"", cache.as_bytes());
        }
        if let Some(refusal) = facts::refusal(decisions) {
            text(out, ",\"denied_by\":\"", refusal.layer.as_bytes());
            if let Some(rule) = &refusal.rule {
                text(out, ",\"rule\":\"", rule.as_bytes());
            }
            text(out, ",\"reason\":\"", refusal.reason.as_bytes());
        }
    });
}

/// The most rules that a line names.
const REPORTED: usize = 16;

/// The rules that would have refused, each once: by their ids, or the layer's name where it has
/// none.
fn reported(out: &mut Vec<u8>, exchange: &Exchange) {
    exchange.with_decisions(|decisions| {
        let mut named: Vec<&str> = Vec::new();
        for decision in decisions.iter().filter(|decision| decision.verdict == Verdict::Report) {
            let name = decision.rule.as_deref().unwrap_or(decision.layer);
            if named.len() < REPORTED && !named.contains(&name) {
                named.push(name);
            }
        }
        for (index, name) in named.iter().enumerate() {
            let before = if index == 0 { ",\"reported\":[\"" } else { ",\"" };
            text(out, before, name.as_bytes());
        }
        if !named.is_empty() {
            out.push(b']');
        }
    });
}

fn termination(out: &mut Vec<u8>, termination: Termination) {
    out.extend_from_slice(b",\"termination\":\"");
    out.extend_from_slice(termination.as_str().as_bytes());
    out.push(b'"');
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

// Inlined, so that a key is a few stores and no call: there are some twenty in a line.

/// A member whose text comes from outside. `key` brings all that stands before the text.
#[inline(always)]
fn text(out: &mut Vec<u8>, key: &'static str, value: &[u8]) {
    out.extend_from_slice(key.as_bytes());
    escape::json(out, value);
    out.push(b'"');
}

/// A member whose text is one of ours.
#[inline(always)]
fn token(out: &mut Vec<u8>, key: &'static str, value: &'static str) {
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

#[inline(always)]
fn shown(out: &mut Vec<u8>, key: &'static str, value: &impl Display) {
    out.extend_from_slice(key.as_bytes());
    let _ = write!(escape::Json(out), "{value}");
    out.push(b'"');
}

#[inline(always)]
fn number(out: &mut Vec<u8>, key: &'static str, value: u64) {
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}
