//! `GET /upstreams` and `GET /parents`: every endpoint, whether it is in service, and why.

use axum::extract::State as Extracted;
use axum::response::Json;
use proxy_upstream::Upstream;
use proxy_upstream::cluster::EndpointReport;
use proxy_upstream::dial::parent::Parent;
use serde_json::{Value, json};

use super::State;

pub(super) async fn show(Extracted(state): Extracted<State>) -> Json<Value> {
    let generation = state.generation();
    let all = generation.upstreams.iter();
    Json(all.map(|(upstream, required)| of(upstream, *required)).collect())
}

fn of(upstream: &Upstream, required: bool) -> Value {
    let cluster = upstream.cluster();
    let endpoints: Vec<Value> = upstream
        .pools()
        .into_iter()
        .zip(cluster.report())
        .map(|((endpoint, idle, open), report)| {
            let mut value = state_of(&report);
            value["name"] = json!(endpoint.name());
            value["host"] = json!(endpoint.host);
            value["port"] = json!(endpoint.port);
            value["idle"] = json!(idle);
            value["open"] = json!(open);
            value
        })
        .collect();
    json!({
        "name": &**upstream.name(),
        "required": required,
        "balance": cluster.balancer(),
        "in_service": cluster.is_in_service(),
        "pending": cluster.pending(),
        "endpoints": endpoints,
    })
}

pub(super) async fn show_parents(Extracted(state): Extracted<State>) -> Json<Value> {
    Json(state.generation().parents.iter().map(of_parent).collect())
}

fn of_parent(parent: &Parent) -> Value {
    let cluster = parent.cluster();
    let places = parent.config().places.iter().zip(cluster.report());
    let endpoints: Vec<Value> = places
        .map(|(place, report)| {
            let mut value = state_of(&report);
            value["name"] = json!(place.name());
            value["host"] = json!(place.host);
            value["port"] = json!(place.port);
            value
        })
        .collect();
    json!({
        "name": &*parent.name(),
        "balance": cluster.balancer(),
        "in_service": cluster.is_in_service(),
        "endpoints": endpoints,
    })
}

/// Times are in milliseconds.
fn state_of(report: &EndpointReport) -> Value {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    json!({
        "state": report.state.token(),
        "reason": report.reason,
        "since_ms": millis(report.since),
        "ejected_for_ms": report.ejected_for.map(millis),
        "ejections": report.ejections,
        "failures": report.failures,
        "in_flight": report.in_flight,
        "limit": report.limit,
        "least_latency_ms": report.least_latency.map(|own| own.as_secs_f64() * 1000.0),
        "weight": report.weight,
        "backup": report.backup,
        "share": (report.warmth * 100.0).round() / 100.0,
        "latency_ms": report.latency.map(|latency| latency.as_secs_f64() * 1000.0),
        "last_check_ms": report.last_check.map(millis),
    })
}
