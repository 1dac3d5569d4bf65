//! `RateLimitLayer`: no more requests than a rate, for each client or whatever else a key is made
//! of.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use proxy_filter::rate::{Rate, RateLimit, RateLimitLayer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(RateLimitLayer::new(RateLimit::new("api", Rate::per_second(100)).burst(200)));
//! axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await
//! # }
//! ```
//!
//! Where no server puts an [`Exchange`](proxy_core::Exchange) into the requests, the client's
//! address is what [`RateLimit::client`] finds.
//!
//! The arithmetic is in [`gcra`], the bounded table of keys and what a flood of new keys does to it
//! in [`table`].
//!
//! # Ordering
//! Behind what finds out who asks and behind what refuses for other reasons; before what costs
//! something. Above a cache it counts requests, below it those that the cache could not answer.
//!
//! # Errors and responses
//! 429 `rate_limited` with the limit's id as rule id and `Retry-After` in whole seconds:
//! after that time a request passes, if no other of the same key came first. With
//! [`RateLimit::fields`], `RateLimit-Policy` and `RateLimit` on this and on all other answers.
//! The inner service's errors pass.
//!
//! # Cancellation
//! Holds nothing. A request that was counted stays counted.
//!
//! # Metrics
//! [`metrics::REQUESTS`], [`metrics::KEYS`] and [`metrics::EVICTIONS`], by limit.

pub mod fields;
pub mod gcra;
pub mod key;
pub mod layer;
pub mod limiter;
pub mod metrics;
pub mod quota;
pub mod table;

pub use key::{Applies, FindClient, KeyPart};
pub use layer::{Member, RateLimitFuture, RateLimitLayer, RateLimited};
pub use limiter::{DEFAULT_KEYS, REASON, RateLimit, RateLimiter};
pub use quota::{Rate, RateError};
