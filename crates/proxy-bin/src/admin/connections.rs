//! `GET /connections`: the open connections, in the order in which they were accepted, a page at a
//! time.

use axum::extract::{Query, State as Extracted};
use axum::response::Json;
use proxy_core::AddressPrivacy;
use proxy_server::LiveConnection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::State;

/// Connections on a page that asks for no number.
const USUAL: usize = 100;
/// The most on any page.
const MOST: usize = 1000;

#[derive(Deserialize)]
pub(super) struct Page {
    /// Only those after this number.
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

pub(super) async fn show(
    Extracted(state): Extracted<State>,
    Query(page): Query<Page>,
) -> Json<Value> {
    let shared = &state.shared;
    let limit = page.limit.unwrap_or(USUAL).clamp(1, MOST);
    // One more than is shown tells whether there is a next page.
    let mut listed: Vec<_> = shared.drain.connections_after(page.after, limit + 1).collect();
    let more = listed.len() > limit;
    listed.truncate(limit);
    let next = listed.last().filter(|_| more).map(LiveConnection::id);
    let generation = state.generation();
    let privacy = &generation.loaded.resolved.privacy.log;
    let connections: Vec<Value> = listed.iter().map(|own| of(own, privacy)).collect();
    Json(json!({ "open": shared.drain.open(), "connections": connections, "next": next }))
}

/// What is not known, or not there, is left out.
fn of(live: &LiveConnection, privacy: &AddressPrivacy) -> Value {
    let info = live.info();
    let activity = &info.activity;
    let latest = activity.latest();
    let (received, sent) = live.bytes();
    let client = latest.client.unwrap_or(info.peer);
    let mut value = json!({
        "id": live.id(),
        "listener": &*info.listener,
        "client": client.view(privacy).to_string(),
        "protocol": activity.protocol().map(|version| format!("{version:?}")),
        "state": live.state().token(),
        "age_ms": u64::try_from(info.accepted.elapsed().as_millis()).unwrap_or(u64::MAX),
        "received_bytes": received,
        "sent_bytes": sent,
    });
    if live.is_ending() {
        value["ending"] = json!(true);
    }
    if let Some(parent) = &info.parent {
        value["inside"] = json!(format!("{}:{}", parent.host, parent.port));
    }
    if let Some(tls) = &info.tls {
        value["tls"] = json!(tls.version);
    }
    if live.is_stream() {
        value["connection"] = json!(info.id);
    } else {
        value["requests"] = json!(activity.requests());
        value["under_way"] = json!(activity.under_way());
    }
    if let Some(tunnel) = live.tunnel() {
        value["host"] = json!(tunnel.host());
        value["tunnel"] = json!({
            "exchange": tunnel.exchange().map(|exchange| exchange.id().to_string()),
            "sent_bytes": tunnel.sent(),
            "received_bytes": tunnel.received(),
        });
    } else {
        value["host"] = json!(latest.host.as_deref());
        value["route"] = json!(latest.route.as_deref());
    }
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}
