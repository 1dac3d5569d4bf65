//! `POST /reload` and `POST /connections/close`.

use axum::body::to_bytes;
use axum::extract::{Query, Request, State as Extracted};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use proxy_core::NamePattern;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{State, authorise};
use crate::config::{Diagnostic, Place};
use crate::reload::{ReloadError, ReloadOrder, Reloaded};
use crate::sever::{self, Selector};

/// More than any selector says.
const MAX_ORDER: usize = 64 * 1024;

/// `?dry_run` and `?sever`, bare or with `true` or `false`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    dry_run: Option<String>,
    sever: Option<String>,
}

impl Asked {
    fn order(&self) -> Result<ReloadOrder, String> {
        let flag = |name: &str, value: &Option<String>| match value.as_deref() {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(other) => Err(format!("`{name}`: expected `true` or `false`, found `{other}`")),
        };
        let (dry_run, sever) = (flag("dry_run", &self.dry_run)?, flag("sever", &self.sever)?);
        Ok(ReloadOrder { dry_run, sever })
    }
}

/// Loads the configuration again, or says what would change.
pub(super) async fn reload(
    Extracted(state): Extracted<State>,
    fields: HeaderMap,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Response {
    if let Err(refused) = authorise(&state, &fields) {
        return *refused;
    }
    let order = asked.map_err(|error| error.body_text()).and_then(|Query(asked)| asked.order());
    let order = match order {
        Ok(order) => order,
        Err(reason) => return bad(&reason),
    };
    match state.reloads().order(order).await {
        Ok(done) => Json(done_of(&done)).into_response(),
        Err(error) => {
            let status = match error {
                ReloadError::Configuration(_) => StatusCode::UNPROCESSABLE_ENTITY,
                ReloadError::Ending => StatusCode::SERVICE_UNAVAILABLE,
                ReloadError::TooSlow => StatusCode::GATEWAY_TIMEOUT,
                ReloadError::BrokeOff => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::CONFLICT,
            };
            let generation = state.generation().number;
            let answer = json!({ "generation": generation, "errors": errors_of(&error) });
            (status, Json(answer)).into_response()
        }
    }
}

fn done_of(done: &Reloaded) -> Value {
    let differences = done.differences.iter();
    let differences: Vec<Value> = differences
        .map(|own| json!({ "path": own.path.to_string(), "what": own.kind.token() }))
        .collect();
    let mut answer = json!({
        "generation": done.generation,
        "dry_run": done.dry_run,
        "changes": differences,
        "warnings": done.warnings,
    });
    if !done.dry_run {
        answer["listeners"] = json!({ "opened": done.opened, "closed": done.closed });
    }
    if let Some(severed) = done.severed {
        answer["severed"] = json!(severed);
    }
    answer
}

fn errors_of(error: &ReloadError) -> Vec<Value> {
    match error {
        ReloadError::Configuration(wrong) => wrong.iter().map(error_of).collect(),
        error => vec![json!({ "message": error.to_string() })],
    }
}

fn error_of(wrong: &Diagnostic) -> Value {
    let mut answer = json!({ "message": wrong.to_string() });
    if !wrong.path.steps().is_empty() {
        answer["path"] = json!(wrong.path.to_string());
    }
    if let Some(Place::File { file, line, column }) = &wrong.place {
        answer["file"] = json!(file.display().to_string());
        (answer["line"], answer["column"]) = (json!(line), json!(column));
    }
    answer
}

fn bad(reason: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": reason }))).into_response()
}

/// Closes the connections of a client, or those on which something of a host or a route is under
/// way.
pub(super) async fn close(Extracted(state): Extracted<State>, request: Request) -> Response {
    if let Err(refused) = authorise(&state, request.headers()) {
        return *refused;
    }
    let selector = match to_bytes(request.into_body(), MAX_ORDER).await {
        Ok(content) => Which::read(&content),
        Err(_) => Err("the content can not be read, or is too large".to_owned()),
    };
    match selector {
        Ok(selector) => {
            tracing::info!(?selector, "connections are closed");
            let closed = sever::close(state.drain(), &selector);
            Json(json!({ "closed": closed })).into_response()
        }
        Err(reason) => bad(&reason),
    }
}

/// The content of an order to close connections.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Which {
    client: Option<String>,
    host: Option<String>,
    route: Option<String>,
}

impl Which {
    fn read(content: &[u8]) -> Result<Selector, String> {
        let which: Self = serde_json::from_slice(content).map_err(|error| error.to_string())?;
        match (which.client, which.host, which.route) {
            (Some(client), None, None) => {
                sever::network(&client).map(Selector::Client).map_err(|e| format!("`client`: {e}"))
            }
            (None, Some(host), None) => {
                let pattern = host.parse::<NamePattern>().map(Selector::Host);
                pattern.map_err(|error| format!("`host`: {error}"))
            }
            (None, None, Some(route)) => Ok(Selector::Route(route)),
            _ => Err("expected one of `client`, `host`, `route`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_selector() {
        let read = |text: &str| Which::read(text.as_bytes()).map(|own| format!("{own:?}"));
        assert_eq!(read(r#"{"client": "192.0.2.1"}"#).unwrap(), "Client(192.0.2.1/32)");
        assert_eq!(read(r#"{"client": "2001:db8::/32"}"#).unwrap(), "Client(2001:db8::/32)");
        assert!(read(r#"{"host": "*.x.test"}"#).unwrap().starts_with("Host("));
        assert_eq!(read(r#"{"route": "a"}"#).unwrap(), "Route(\"a\")");
        for (text, expected) in [
            ("{}", "expected one of `client`, `host`, `route`"),
            (r#"{"host": "a", "route": "b"}"#, "expected one of"),
            (r#"{"client": "a.test"}"#, "`client`: expected an address"),
            (r#"{"host": "a b"}"#, "`host`: "),
            (r#"{"hosts": "a"}"#, "unknown field"),
            ("", "EOF"),
        ] {
            let reason = read(text).unwrap_err();
            assert!(reason.starts_with(expected), "{text}: {reason}");
        }
    }

    #[test]
    fn flags_are_bare_or_said() {
        let order = |dry_run: Option<&str>, sever: Option<&str>| {
            Asked { dry_run: dry_run.map(str::to_owned), sever: sever.map(str::to_owned) }.order()
        };
        let both = ReloadOrder { dry_run: true, sever: true };
        assert_eq!(order(Some(""), Some("true")), Ok(both));
        assert_eq!(order(None, Some("false")), Ok(ReloadOrder::default()));
        assert!(order(Some("yes"), None).is_err());
    }
}
