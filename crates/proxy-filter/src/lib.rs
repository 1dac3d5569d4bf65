#![doc = include_str!("../README.md")]

mod asked;
pub mod bandwidth;
pub mod concurrency;
pub mod credentials;
pub mod domains;
pub mod forward_auth;
mod future;
pub mod input;
pub mod inspect;
mod layer;
mod limit;
pub mod policies;
mod policy;
pub mod rate;
pub mod rules;
mod service;
mod shadow;
pub mod tunnel;

pub use asked::Asked;
pub use future::FilterFuture;
pub use layer::{FilterLayer, Policies};
pub use limit::{Exceeded, Limit};
pub use policy::{Conclusion, Deferred, Policy, Redirection, Verdict, policy};
pub use rules::Rules;
pub use service::Filter;
pub use shadow::{Probe, Shadow, ShadowFuture, ShadowLayer, Shadowed};

/// The user whose credentials were verified, in the extensions of a request that has no
/// [`Exchange`](proxy_core::Exchange).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User(pub std::sync::Arc<str>);
