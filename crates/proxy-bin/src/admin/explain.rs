//! `POST /explain`.

use axum::body::to_bytes;
use axum::extract::{Request, State as Extracted};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;

use super::{State, authorise};
use crate::explain::Question;

/// More than any question says.
const MAX_QUESTION: usize = 256 * 1024;

/// What the layers of this process would decide about a request. It changes nothing, but shows what
/// is stored and what upstreams are sent: it is guarded like a change.
pub(super) async fn explain(Extracted(state): Extracted<State>, request: Request) -> Response {
    if let Err(refused) = authorise(&state, request.headers()) {
        return *refused;
    }
    let question: Result<Question, String> = match to_bytes(request.into_body(), MAX_QUESTION).await
    {
        Ok(content) => serde_json::from_slice(&content).map_err(|error| error.to_string()),
        Err(_) => Err("the content can not be read, or is too large".to_owned()),
    };
    let explained = match question {
        Ok(question) => {
            let explained = state.generation().explainer.explain(&question).await;
            explained.map_err(|error| error.to_string())
        }
        Err(reason) => Err(reason),
    };
    match explained {
        Ok(explanation) => Json(explanation).into_response(),
        Err(reason) => (StatusCode::BAD_REQUEST, Json(json!({ "error": reason }))).into_response(),
    }
}
