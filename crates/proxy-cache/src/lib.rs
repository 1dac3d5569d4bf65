#![doc = include_str!("../README.md")]

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
