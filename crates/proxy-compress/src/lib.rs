//! Content coding as tower layers: gzip, br and zstd that keep streams live, and decoding with caps.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use proxy_compress::CompressLayer;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "some text that is long enough".repeat(100) }))
//!     .layer(CompressLayer::default());
//! axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await
//! # }
//! ```
//!
//! Which coding a client gets is negotiated by RFC 9110 section 12.5.3: the one of the greatest
//! weight, among equals the first of [`CompressConfig::codings`]. Which responses are coded is
//! decided by an [`Eligibility`], by default [`Rules`]: type, size, secrets. What can not be coded
//! is not up to it: parts, what has a coding, `no-transform`.
//!
//! Content is coded as it comes. Whatever the content behind has given is flushed when it has no
//! more for now, so events arrive one by one; one poll codes a bounded slice, so a large body keeps
//! nobody else waiting; trailers stay. Encoders come from an [`EncoderPool`] with bounds on what is
//! in use and at rest, and a [`LoadGuard`] lowers levels, then stops coding, where it takes too much
//! of the machine.
//!
//! A coded form has a tag of its own, `"tag-br"` for `"tag"`; conditions that name it are answered
//! as those of the original are. Digests and the offer of ranges, which are of the uncoded form, go.
//!
//! [`StoredCoder`] makes the coded forms of a cache; [`DecodeLayer`] takes codings off for clients
//! that do not take them.
//!
//! With the feature `dictionaries` and a `DictionaryStore`, responses that are offered as
//! dictionaries (`Use-As-Dictionary`, RFC 9842) are kept, and what is sent to a client that has one
//! of them is coded with its help, as `dcz` or `dcb`.
//!
//! # Ordering
//! Above a cache, so that it stores what every client can use; above whatever looks at content. A
//! [`DecodeLayer`] stands below a [`CompressLayer`]: what it decodes may be coded otherwise.
//!
//! # Errors and responses
//! The inner service's errors pass. The layer's own answer: 406, where [`Unacceptable::Refuse`] says
//! so. A break of the content behind is a break here, after what came before it.
//!
//! # Cancellation
//! Dropping a body drops the one behind it and gives the encoder back.
//!
//! # Metrics
//! [`metrics::RESPONSES`], [`metrics::BYTES`], [`metrics::MICROS`] by route and coding,
//! [`metrics::SKIPPED`] by route and reason.

mod ask;
mod body;
mod codings;
mod config;
mod content_types;
pub mod decode;
#[cfg(feature = "dictionaries")]
mod dictionary;
#[cfg(not(feature = "dictionaries"))]
#[path = "no_dictionary.rs"]
mod dictionary;
mod eligibility;
mod encoder;
mod layer;
mod load;
pub mod metrics;
mod pool;
mod service;
mod stored;
mod validators;

pub use body::CompressBody;
pub use codings::{Coding, Levels};
pub use config::{CompressConfig, Unacceptable};
pub use content_types::{ContentTypeError, ContentTypes};
pub use decode::{DecodeError, DecodeLayer, DecodeLimits};
#[cfg(feature = "dictionaries")]
pub use dictionary::{DictionaryLimits, DictionaryStore};
pub use eligibility::{Candidate, Eligibility, Rules, Skip};
pub use encoder::EncodeError;
pub use layer::{CompressBuilder, CompressLayer};
pub use load::{LoadGuard, LoadLimits, LoadStep};
pub use metrics::CompressMetrics;
pub use pool::{EncoderLimits, EncoderPool};
pub use service::{Compress, CompressFuture};
pub use stored::{StoredCoder, StoredLimits};
