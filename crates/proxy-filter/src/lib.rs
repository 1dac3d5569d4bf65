<<<<<<< HEAD
//! Who may ask for what, how often, and what an attack looks like.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use proxy_core::ErrorPagesLayer;
//! use proxy_filter::policies::{HostPolicy, PathPolicy};
//! use proxy_filter::{FilterLayer, Policies};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policies = Policies::new()
//!     .then(HostPolicy::allow(["app.test", "=localhost"])?.rule("our-names"))
//!     .then(PathPolicy::deny(["/internal"])?.rule("internal"));
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(FilterLayer::new(policies))
//!     .layer(ErrorPagesLayer::new("app"));
//! axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await?;
//! # Ok(()) }
//! ```
//!
//! [`FilterLayer`] asks a list of [`Policy`]s, in their order; the first that does not allow ends
//! it. [`policies`] has those for one thing each, [`rules`] an ordered list of rules,
//! [`domains`] lists of up to millions of names that change while they are used, [`credentials`]
//! names and passwords. [`Shadow`] makes a policy report what it would do, [`ShadowLayer`] any
//! layer.
//!
//! [`inspect`] looks into requests: a library without input or output of its own, driven by
//! whoever has a request head and, chunk by chunk, its content.
//!
//! [`input`] says what requests may look like. [`rate`] limits how often is asked, [`concurrency`]
//! how many at a time, [`bandwidth`] how fast content flows. [`tunnel`] judges what tunnels begin
//! with. [`forward_auth`] asks another service whether a request may pass.
//!
//! # Ordering
//! Behind what makes paths normal ([`HygieneLayer`](proxy_core::HygieneLayer)) and finds the
//! client's address ([`ClientAddrLayer`](proxy_core::ClientAddrLayer)); in front of a cache, so that
//! a hit passes the same rules as a miss; behind
//! [`ErrorPagesLayer`](proxy_core::ErrorPagesLayer), which writes the pages.
//!
//! # Errors and responses
//! The inner service's errors pass; its responses pass unchanged. A refusal is a response without
//! content, with a [`Refusal`](proxy_core::Refusal) in its extensions. The request's content is
//! neither read nor touched.
//!
//! # Cancellation
//! Dropping the future drops the request, the deferred verdict or the inner future. What a
//! deferred policy started elsewhere (a password being checked) ends by itself.
//!
//! # Metrics
//! None of its own: what was decided stands in the [`Exchange`](proxy_core::Exchange).
=======
#![doc = include_str!("../README.md")]
>>>>>>> daa8764 (READMEs of the crates are their documentation; examples: audit, a policy, an inspector, a store of one's own)

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
