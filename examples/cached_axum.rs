//! One layer gives an axum router a shared cache.
//!
//! ```text
//! cargo run -p proxyd-examples --bin cached_axum
//! curl -i http://127.0.0.1:3002/report          # made once a minute
//! curl -i http://127.0.0.1:3002/report          # Cache-Status: proxy-cache; hit; ttl=...
//! curl -i -r 0-4 http://127.0.0.1:3002/report   # a range of what is stored
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use proxy_cache::CacheLayer;
use proxy_cache::store::MemoryStore;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3002").await?;
    axum::serve(listener, app()).await
}

fn app() -> Router {
    let cache = CacheLayer::new(MemoryStore::with_capacity(64 << 20));
    Router::new().route("/report", get(report)).layer(cache)
}

/// Slow to make, and the same for everybody: whoever asks while it is made waits for that one.
async fn report() -> ([(&'static str, &'static str); 1], String) {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let n = MADE.fetch_add(1, Ordering::Relaxed) + 1;
    let fields = [("cache-control", "max-age=60, stale-while-revalidate=600")];
    (fields, format!("report number {n}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn it_is_made_once() {
        let app = app();
        let mut seen = Vec::new();
        for _ in 0..2 {
            let request = Request::get("/report").header("host", "a.test").body(Body::empty());
            let answer = app.clone().oneshot(request.expect("a request")).await.expect("an answer");
            let status = answer.headers()["cache-status"].to_str().expect("text").to_owned();
            // What is read to its end is stored.
            let content = axum::body::to_bytes(answer.into_body(), 100).await.expect("content");
            seen.push((status.contains("; hit"), content));
        }
        assert!(!seen[0].0 && seen[1].0, "{seen:?}");
        assert_eq!(seen[0].1, seen[1].1);
    }
}
