//! A policy of one's own beside ours: an API key in a field, which is asked of a set that changes.
//!
//! ```text
//! cargo run -p proxyd-examples --bin own_policy
//! curl -i http://127.0.0.1:3007/
//! curl -i -H 'X-Api-Key: 3f1c' http://127.0.0.1:3007/
//! ```
//!
//! A policy sees the head and what is known of the exchange, and answers at once; what has to wait
//! answers `Verdict::defer(async { .. })`. A closure would be a policy too: `proxy_filter::policy`.
//! It changes nothing of the request here, and so needs no care for rehearsals.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use proxy_core::{ErrorPagesLayer, Refusal};
use proxy_filter::policies::PathPolicy;
use proxy_filter::{Asked, FilterLayer, Policies, Policy, Verdict};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The keys that are known now. A clone is the same set.
#[derive(Clone, Default)]
struct ApiKeys(Arc<RwLock<HashSet<String>>>);

impl ApiKeys {
    fn add(&self, key: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
    }
}

impl Policy for ApiKeys {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let key = asked.fields().get("x-api-key").and_then(|key| key.to_str().ok());
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match key {
            Some(key) if known.contains(key) => Verdict::Allow,
            // The reason is shown to the client; the rule is in the log, and here on the page.
            _ => Refusal::new(StatusCode::FORBIDDEN, "api_key").rule("api-keys").into(),
        }
    }
}

fn app(keys: ApiKeys) -> Result<Router, Failure> {
    // In this order: the first that does not allow ends it.
    let policies = Policies::new().then(PathPolicy::deny(["/internal"])?).then(keys);
    Ok(Router::new()
        .route("/", get(|| async { "hello\n" }))
        .layer(FilterLayer::new(policies))
        .layer(ErrorPagesLayer::new("own").show_rules(true)))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let keys = ApiKeys::default();
    keys.add("3f1c");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3007").await?;
    axum::serve(listener, app(keys)?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    async fn status(app: &Router, path: &str, key: Option<&str>) -> u16 {
        let mut request = Request::get(path).header("host", "a.test");
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let request = request.body(Body::empty()).expect("a request");
        app.clone().oneshot(request).await.expect("an answer").status().as_u16()
    }

    #[tokio::test]
    async fn a_key_counts_from_when_it_is_known() {
        let keys = ApiKeys::default();
        let app = app(keys.clone()).expect("an app");
        assert_eq!(status(&app, "/", None).await, 403);
        assert_eq!(status(&app, "/", Some("3f1c")).await, 403);
        keys.add("3f1c");
        assert_eq!(status(&app, "/", Some("3f1c")).await, 200);
        assert_eq!(status(&app, "/internal/x", Some("3f1c")).await, 403);
    }
}
