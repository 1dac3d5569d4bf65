//! `BandwidthLayer`: content flows no faster than a rate, for each connection or whatever else a
//! key is made of.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use proxy_filter::bandwidth::{BandwidthLayer, BandwidthLimit, ByteRate};
//! use proxy_filter::rate::KeyPart;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! let limit = BandwidthLimit::new("downloads")
//!     .key([KeyPart::CLIENT])
//!     .download(ByteRate::per_second(1 << 20))
//!     .burst(4 << 20);
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(BandwidthLayer::new(limit));
//! axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await
//! # }
//! ```
//!
//! Upload is the content of requests, download that of responses; each has a rate and a burst of
//! its own. Bytes are those of the content as it passes here: neither heads nor framing nor TLS.
//! A frame that is more than may pass is passed in pieces. What waits is one frame of each body;
//! while it waits nothing more is read, so the sender is slowed down and nothing is buffered.
//! Bodies of one key take turns, piece by piece, in the order in which they asked.
//!
//! What is no body, such as a tunnel, is paced by [`BandwidthLimiter::pacers`].
//!
//! What a key owes is kept when its body has ended: many small downloads are one burst, not many.
//! It stands in a bounded table, [`rate::table`](crate::rate::table), which holds no key itself.
//!
//! # Ordering
//! Above a cache it limits what clients take, below it what upstreams send. Above a layer that
//! compresses it counts compressed bytes. Where a timeout watches content, it must be one of
//! silence: content that is held back is late.
//!
//! # Errors and responses
//! None of its own. Frames, trailers and errors pass as they are.
//!
//! # Cancellation
//! A body that is dropped while it waits gives back what it had been promised.
//!
//! # Metrics
//! [`metrics::WAITS`], by limit and direction.

pub mod body;
pub mod layer;
pub mod limiter;
pub mod metrics;
mod pace;
pub mod pacer;

pub use body::BandwidthBody;
pub use layer::{Bandwidth, BandwidthFuture, BandwidthLayer};
pub use limiter::{BandwidthError, BandwidthLimit, BandwidthLimiter};
pub use pace::{ByteRate, DEFAULT_KEYS};
pub use pacer::Pacer;
