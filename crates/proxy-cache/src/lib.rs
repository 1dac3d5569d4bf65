//! A shared HTTP cache (RFC 9111) as a tower layer.

mod answer;
mod body;
mod conversation;
mod deception;
mod derive;
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
pub mod store;
mod wakers;

pub use body::CacheBody;
pub use fill::BrokenContent;
pub use keying::{Keying, QueryRule};
pub use layer::{CacheBuilder, CacheLayer};
pub use metrics::{CacheMetrics, Counts, Outcome};
pub use rules::{Bypass, CacheRules, OnDisconnect, StatusTtl};
pub use service::{Cache, CacheFuture};
pub use store::CacheStore;
