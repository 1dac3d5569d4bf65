//! A store of one's own below the cache: it keeps pages and not films, and tells how it went.
//!
//! ```text
//! cargo run -p proxyd-examples --bin own_store
//! curl -si http://127.0.0.1:3010/page | grep -i ^cache-status      # twice: a hit
//! curl -si http://127.0.0.1:3010/film | grep -i ^cache-status      # twice: never one
//! ```
//!
//! A store knows nothing of HTTP's rules: it keeps what it is given and gives it back. This one
//! decides what it takes and leaves the rest to a `MemoryStore`. Whatever a store does, the suite of
//! the feature `store-contract` holds it to what the cache relies on.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use proxy_cache::store::{
    Freed, KeyHash, MemoryStore, StoreWriter, Stored, StoredHead, Sweep, Usage, Variants,
};
use proxy_cache::{CacheLayer, CacheStore};

/// Keeps no films.
struct PagesOnly(MemoryStore);

impl CacheStore for PagesOnly {
    fn begin(&self, head: StoredHead, expected: Option<u64>) -> Option<Box<dyn StoreWriter>> {
        let kind = head.fields.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        // None: it passes through unstored.
        if kind.starts_with(b"video/") { None } else { self.0.begin(head, expected) }
    }

    fn lookup(&self, key: &KeyHash) -> Option<Variants> {
        self.0.lookup(key)
    }

    fn replace_head(&self, stored: &Arc<Stored>, head: StoredHead) -> Option<Arc<Stored>> {
        self.0.replace_head(stored, head)
    }

    fn remove(&self, key: &KeyHash, only: Option<&Arc<Stored>>) -> Freed {
        self.0.remove(key, only)
    }

    fn sweep(&self, visit: &mut dyn FnMut(&Arc<Stored>) -> Sweep) -> Freed {
        self.0.sweep(visit)
    }

    fn shrink_to(&self, bytes: u64) {
        self.0.shrink_to(bytes);
    }

    fn max_object(&self) -> u64 {
        self.0.max_object()
    }

    fn usage(&self) -> Usage {
        self.0.usage()
    }
}

fn app() -> Router {
    let fresh = |kind: &'static str| [("cache-control", "max-age=60"), ("content-type", kind)];
    Router::new()
        .route("/page", get(move || async move { (fresh("text/html"), "<p>hello") }))
        .route("/film", get(move || async move { (fresh("video/mp4"), "a film") }))
        .layer(CacheLayer::new(PagesOnly(MemoryStore::with_capacity(16 << 20))))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3010").await?;
    axum::serve(listener, app()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http::Request;
    use proxy_cache::store::contract;
    use tower::ServiceExt;

    #[test]
    fn it_keeps_the_contract_of_stores() {
        contract::check(|capacity| PagesOnly(MemoryStore::builder(capacity).build()));
    }

    #[tokio::test]
    async fn pages_are_stored_and_films_are_not() {
        let app = app();
        for (path, is_hit) in [("/page", true), ("/film", false)] {
            let mut status = String::new();
            for _ in 0..2 {
                let request = Request::get(path).header("host", "a.test").body(Body::empty());
                let answer = app.clone().oneshot(request.expect("a request")).await;
                let answer = answer.expect("an answer");
                let field = &answer.headers()["cache-status"];
                status = field.to_str().expect("text").to_owned();
                // It is stored once its content has been read to the end.
                axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("content");
            }
            assert_eq!(status.contains("; hit"), is_hit, "{path}: {status}");
        }
    }
}
