//! The spans of an exchange.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Method, StatusCode, Version};
use proxy_core::exchange::{AttemptMark, LayerMark, Marks};
use proxy_core::{Attempt, Decision, Trace};

use super::TracesConfig;
use super::protobuf::Message;
use crate::record::Record;
use crate::shown_target;

/// `SpanKind`.
const INTERNAL: u64 = 1;
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
/// `StatusCode` of a span.
const ERROR: u64 = 2;
/// Fields of `Span`.
const ATTRIBUTES: u32 = 9;
const EVENTS: u32 = 11;
const STATUS: u32 = 15;

/// The exchange's own span, and one for each layer that was at work and each attempt.
pub(super) fn all(
    record: &Record<'_>,
    trace: &Trace,
    marks: &Marks,
    config: &TracesConfig,
) -> Vec<Vec<u8>> {
    let times = Times::of(record);
    let mut spans = vec![own(record, trace, marks, config, &times)];
    let layers = marks.layers.iter().enumerate();
    spans.extend(layers.map(|(n, layer)| one_layer(trace, layer, n, &times)));
    record.exchange.with_attempts(|attempts| {
        for (n, (attempt, mark)) in attempts.iter().zip(&marks.attempts).enumerate() {
            let next = marks.attempts.get(n + 1).map(|next| next.begun);
            spans.push(one_attempt(record, trace, attempt, n, (mark, next), &times));
        }
    });
    spans
}

/// Ours is random: those below it are, too, and differ from it.
fn attempt_id(trace: &Trace, n: usize) -> u64 {
    (trace.context.span_id ^ (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)).max(1)
}

fn layer_id(trace: &Trace, n: usize) -> u64 {
    (trace.context.span_id ^ (n as u64 + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9)).max(1)
}

/// What stands around: a layer, or the exchange.
fn around(trace: &Trace, within: Option<usize>) -> u64 {
    within.map_or(trace.context.span_id, |n| layer_id(trace, n))
}

/// From the call of a layer to its response head.
fn one_layer(trace: &Trace, layer: &LayerMark, n: usize, times: &Times) -> Vec<u8> {
    let parent = around(trace, layer.within);
    let mut span = begin(trace, layer_id(trace, n), Some(parent), layer.layer, INTERNAL);
    let end = layer.ended.unwrap_or(times.ended).clamp(layer.begun, times.ended.max(layer.begun));
    span.fixed64(7, times.nanos(layer.begun)).fixed64(8, times.nanos(end));
    span.attribute(ATTRIBUTES, "proxy.layer", layer.layer);
    span.done()
}

/// Turns moments into nanoseconds since 1970.
struct Times {
    started: Instant,
    started_wall: SystemTime,
    ended: Instant,
}

impl Times {
    fn of(record: &Record<'_>) -> Self {
        let started = record.exchange.started();
        Self {
            started,
            started_wall: record.exchange.started_wall(),
            ended: started + record.duration,
        }
    }

    fn nanos(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.started);
        let wall = (self.started_wall + since).duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX)
    }
}

fn begin(trace: &Trace, span_id: u64, parent: Option<u64>, name: &str, kind: u64) -> Message {
    let mut span = Message::default();
    span.bytes(1, &trace.context.trace_id.to_be_bytes()).bytes(2, &span_id.to_be_bytes());
    if let Some(parent) = parent {
        span.bytes(4, &parent.to_be_bytes());
    }
    span.text(5, name).number(6, kind);
    span
}

fn own(
    record: &Record<'_>,
    trace: &Trace,
    marks: &Marks,
    config: &TracesConfig,
    times: &Times,
) -> Vec<u8> {
    let (exchange, request) = (record.exchange, record.request);
    let route = exchange.route().map(|route| &**route);
    let method = known_method(&request.method);
    let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
    let mut span = begin(trace, trace.context.span_id, trace.parent, &name, SERVER);
    span.fixed64(7, times.nanos(times.started)).fixed64(8, times.nanos(times.ended));
    span.attribute(ATTRIBUTES, "http.request.method", method);
    if method == "_OTHER" {
        span.attribute(ATTRIBUTES, "http.request.method_original", request.method.as_str());
    }
    if let Some(status) = record.status {
        let status = u64::from(status.as_u16());
        span.count(ATTRIBUTES, "http.response.status_code", status);
    }
    if let Some(route) = route {
        span.attribute(ATTRIBUTES, "http.route", route);
    }
    let [path, mark, query] = shown_target::parts(request, config.path_policy, &config.redaction);
    span.attribute(ATTRIBUTES, "url.path", &path);
    if !mark.is_empty() {
        span.attribute(ATTRIBUTES, "url.query", &query);
    }
    let scheme = request.target.scheme_str().unwrap_or(exchange.connection().scheme);
    span.attribute(ATTRIBUTES, "url.scheme", scheme);
    if let Some(host) = shown_target::host(request) {
        span.attribute(ATTRIBUTES, "server.address", &String::from_utf8_lossy(host));
    }
    span.attribute(ATTRIBUTES, "network.protocol.version", version(request.version));
    let client = exchange.client().view(&config.privacy);
    if client.is_shown() {
        span.attribute(ATTRIBUTES, "client.address", &client.to_string());
    }
    let hidden = config.redaction.hides_field(&http::header::USER_AGENT);
    if let Some(agent) = request.user_agent.as_ref().map(HeaderValue::as_bytes)
        && !hidden
    {
        span.attribute(ATTRIBUTES, "user_agent.original", &String::from_utf8_lossy(agent));
    }
    span.count(ATTRIBUTES, "http.request.body.size", record.request_bytes());
    span.count(ATTRIBUTES, "http.response.body.size", record.response_bytes());
    span.attribute(ATTRIBUTES, "proxy.exchange.id", &exchange.id().to_string());
    span.attribute(ATTRIBUTES, "proxy.listener", &exchange.connection().listener);
    span.attribute(ATTRIBUTES, "proxy.termination", record.termination().as_str());
    exchange.with_decisions(|decisions| {
        for (decision, moment) in decisions.iter().zip(&marks.decisions) {
            span.message(EVENTS, |event| one_decision(event, decision, times.nanos(*moment)));
        }
    });
    // A server's span has failed where the server has (HTTP conventions): not by a 4xx.
    let error = exchange.error().map(proxy_core::ErrorKind::token);
    if let Some(error) = error {
        span.attribute(ATTRIBUTES, "error.type", error);
    }
    if record.status.is_none_or(|status| status.is_server_error())
        || record.ending == proxy_core::Ending::UpstreamBroke
    {
        failed(&mut span, error.unwrap_or(record.ending.token()));
    }
    span.done()
}

fn one_decision(event: &mut Message, decision: &Decision, time: u64) {
    event.fixed64(1, time).text(2, decision.layer);
    event.attribute(3, "verdict", decision.verdict.token());
    event.attribute(3, "reason", &decision.reason);
    if let Some(rule) = &decision.rule {
        event.attribute(3, "rule", rule);
    }
}

fn one_attempt(
    record: &Record<'_>,
    trace: &Trace,
    attempt: &Attempt,
    n: usize,
    (mark, next): (&AttemptMark, Option<Instant>),
    times: &Times,
) -> Vec<u8> {
    let start = mark.begun;
    let method = known_method(&record.request.method);
    let parent = around(trace, mark.within);
    let mut span = begin(trace, attempt_id(trace, n), Some(parent), method, CLIENT);
    let took: Duration = [attempt.dns, attempt.connect, attempt.first_byte].iter().flatten().sum();
    let end = match attempt.first_byte {
        Some(_) => start + took,
        None => next.unwrap_or_else(|| {
            let answered = record.answered_after.map(|after| times.started + after);
            answered.unwrap_or(times.ended).max(start)
        }),
    };
    span.fixed64(7, times.nanos(start)).fixed64(8, times.nanos(end.min(times.ended).max(start)));
    span.attribute(ATTRIBUTES, "http.request.method", method);
    if let Some(name) = &attempt.upstream {
        span.attribute(ATTRIBUTES, "proxy.upstream", name);
    }
    if let Some(address) = attempt.address {
        span.attribute(ATTRIBUTES, "network.peer.address", &address.ip().to_string());
        span.count(ATTRIBUTES, "network.peer.port", u64::from(address.port()));
    }
    span.attribute(ATTRIBUTES, "proxy.connection", if attempt.reused { "reused" } else { "new" });
    if n > 0 {
        span.count(ATTRIBUTES, "http.request.resend_count", n as u64);
    }
    for (key, time) in [("proxy.dns_us", attempt.dns), ("proxy.connect_us", attempt.connect)] {
        if let Some(time) = time {
            span.count(ATTRIBUTES, key, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
    }
    if let Some(status) = attempt.status {
        span.count(ATTRIBUTES, "http.response.status_code", u64::from(status.as_u16()));
    }
    match attempt.error {
        Some(error) => {
            span.attribute(ATTRIBUTES, "error.type", error.token());
            failed(&mut span, error.token());
        }
        // A client's span has failed with a 4xx too (HTTP conventions).
        None if attempt.status.is_some_and(is_failure) => failed(&mut span, "status"),
        None => {}
    }
    span.done()
}

fn is_failure(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

fn failed(span: &mut Message, why: &str) {
    span.message(STATUS, |status| {
        status.text(2, why).number(3, ERROR);
    });
}

/// Methods that are known are names; of others there are too many.
fn known_method(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE"
        | "PATCH") => known,
        _ => "_OTHER",
    }
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
