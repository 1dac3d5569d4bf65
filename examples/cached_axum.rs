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
    let cache = CacheLayer::new(MemoryStore::with_capacity(64 << 20));
    let app = Router::new().route("/report", get(report)).layer(cache);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3002").await?;
    axum::serve(listener, app).await
}

/// Slow to make, and the same for everybody: whoever asks while it is made waits for that one.
async fn report() -> ([(&'static str, &'static str); 1], String) {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let n = MADE.fetch_add(1, Ordering::Relaxed) + 1;
    let fields = [("cache-control", "max-age=60, stale-while-revalidate=600")];
    (fields, format!("report number {n}\n"))
}
