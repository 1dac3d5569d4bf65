//! A shared HTTP cache (RFC 9111) as a tower layer.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use proxy_cache::CacheLayer;
//! use proxy_cache::store::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! let app: Router = Router::new()
//!     .route("/", get(|| async { ([("cache-control", "max-age=60")], "made once a minute") }))
//!     .layer(CacheLayer::new(MemoryStore::with_capacity(64 << 20)));
//! axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await
//! # }
//! ```
//!
//! What may be stored, for how long and for whom is decided by the rules in [`semantics`], pure
//! functions with the section of the RFC beside each. Where they leave a choice, [`CacheRules`]
//! makes it; what makes two requests the same is said by [`Keying`]; where responses live is a
//! [`CacheStore`].
//!
//! Content is never held back: the one who asked first reads it as it comes from upstream, those
//! who ask for the same meanwhile read along from its first byte, and it is stored only if it came
//! to its end.
//!
//! # Ordering
//! Behind everything that decides who may ask (a hit passes the same access rules as a miss) and
//! that rewrites the request's target; in front of what turns upstream errors into responses
//! ([`RescueLayer`](proxy_core::RescueLayer)), so that a stale response may stand in for one. What
//! a layer between the cache and upstream makes of client-dependent fields must be part of the key
//! or of `Vary`.
//!
//! # Errors and responses
//! The inner service's errors pass, unless a stored response may stand in for them. The layer's own
//! answers: 304, 206 and 416 from what is stored, 504 to `only-if-cached` without a stored response,
//! 400 to a QUERY whose content breaks off. Every response gets a member of `Cache-Status`
//! (RFC 9211). The inner service is asked with `Reply<ReqB>` for a request body: the client's, or an
//! empty one where the cache asks for its own sake.
//!
//! # Cancellation
//! Dropping the future leaves a shared request to those who wait for it; the last one to leave ends
//! it, as does the last reader of a fill ([`OnDisconnect`] says otherwise). Nothing that broke off is
//! stored.
//!
//! # Background work
//! Only where a [`Spawn`](proxy_core::Spawn) was given: validation while a stale response is served,
//! and fills that go on without a reader. `S: Clone + Send + 'static` is needed for it.
//!
//! # Metrics
//! [`metrics::REQUESTS`] and [`metrics::RESPONSES`], by route and outcome.

mod answer;
mod body;
mod conversation;
mod deception;
mod derive;
pub mod explain;
mod fetch;
mod fill;
mod flight;
pub mod keying;
mod layer;
mod look;
pub mod metrics;
mod parts;
pub mod purge;
pub mod rules;
mod segments;
pub mod semantics;
mod service;
mod shared;
mod similar;
mod slices;
pub mod store;
mod wakers;

pub use body::CacheBody;
pub use derive::DerivingQueues;
pub use explain::CacheExplanation;
pub use fill::BrokenContent;
pub use keying::{Keying, QueryRule};
pub use layer::{CacheBuilder, CacheLayer};
pub use metrics::{CacheMetrics, Counts, Outcome};
pub use rules::{Bypass, CacheRules, OnDisconnect, StatusTtl};
pub use service::{Cache, CacheFuture};
pub use store::CacheStore;
