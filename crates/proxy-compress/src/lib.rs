#![doc = include_str!("../README.md")]

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
