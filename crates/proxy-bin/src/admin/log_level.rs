//! `GET` and `PUT /log-level`.

use axum::body::to_bytes;
use axum::extract::{Request, State as Extracted};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};

use super::{State, authorise};

/// More than any level has.
const MOST: usize = 4096;

pub(super) async fn show(Extracted(state): Extracted<State>) -> Json<Value> {
    Json(json!({ "level": state.shared.log_level.get() }))
}

/// The level as text, or as `{"level": "debug"}`.
pub(super) async fn set(Extracted(state): Extracted<State>, request: Request) -> Response {
    if let Err(refused) = authorise(&state, request.headers()) {
        return *refused;
    }
    let content = to_bytes(request.into_body(), MOST).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    let object: Option<Value> = serde_json::from_str(&text).ok();
    let level = object.as_ref().and_then(|object| object["level"].as_str()).unwrap_or(&text);
    let before = state.shared.log_level.get();
    match state.shared.log_level.set(level) {
        Ok(()) => {
            let now = state.shared.log_level.get();
            tracing::info!(before, now, "log level");
            Json(json!({ "level": now })).into_response()
        }
        Err(reason) => (StatusCode::BAD_REQUEST, Json(json!({ "error": reason }))).into_response(),
    }
}
