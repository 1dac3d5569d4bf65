//! `ConcurrencyLayer`: no more requests at a time than so many, for each client, each route, or
//! whatever else a key is made of; the next ones wait in line for a while.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use proxy_filter::concurrency::{ConcurrencyLayer, ConcurrencyLimit};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(ConcurrencyLayer::new(ConcurrencyLimit::new("per-client", 4).queue(16)));
//! axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await
//! # }
//! ```
//!
//! A place is held from the call of the inner service until the response's content ends or is
//! dropped: a slow reader holds one. Places are given in the order of arrival, within a key.
//!
//! # Ordering
//! Behind what finds out who asks and behind rate limits, before what costs something. A tunnel
//! gives its place back when it is opened: count tunnels elsewhere.
//!
//! # Errors and responses
//! 429 `too_many_at_once` where the key tells clients apart, else 503 `overloaded`, with the limit's
//! id and `Retry-After`: when the line is full, or when the time in it is over. The inner service's
//! errors pass.
//!
//! # Cancellation
//! Who leaves the line makes room in it; who is dropped with a place, at any point, gives it to the
//! next. The inner service that was polled waits along.
//!
//! # Metrics
//! [`metrics::REQUESTS`], [`metrics::IN_USE`] and [`metrics::WAITING`], by limit.

pub mod body;
pub mod future;
pub mod layer;
pub mod limiter;
pub mod metrics;
pub mod places;

pub use body::ConcurrencyBody;
pub use future::ConcurrencyFuture;
pub use layer::{Concurrency, ConcurrencyLayer};
pub use limiter::{ConcurrencyError, ConcurrencyLimit, ConcurrencyLimiter};
