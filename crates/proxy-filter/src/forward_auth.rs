//! `ForwardAuthLayer`: another service says whether a request may pass.
//!
//! For each request it is asked with a GET of its own: the fields of the request, without content,
//! and `X-Forwarded-Method`, `-Uri`, `-Host` and `-Proto`, which say what was asked for. Its 2xx
//! lets the request pass, with [chosen](ForwardAuth::copies) fields of that answer in it. Its 401,
//! 403, 429 and redirects go to the client as they are: status, the fields that a client needs, and
//! content up to [`MAX_CONTENT`]. Anything else, an error, and no answer within
//! [`timeout`](ForwardAuth::timeout) refuse: it fails closed, also where the target of a request
//! can not be told in a field.
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//! use http::{Request, Response};
//! use proxy_core::{Body, SystemClock};
//! use proxy_filter::forward_auth::{ForwardAuth, ForwardAuthLayer};
//! use tower::{ServiceBuilder, service_fn};
//!
//! let verifier = service_fn(|_: Request<Body>| async {
//!     Ok::<_, Infallible>(Response::new(Body::empty()))
//! });
//! let asks = ForwardAuth::new("/verify".parse()?).copies(["remote-user".parse()?]);
//! let stack = ServiceBuilder::new()
//!     .layer(ForwardAuthLayer::new(verifier, asks, Arc::new(SystemClock)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is not believed
//! A field that the answer may set, and the one that names the user, is the other service's alone:
//! what the client sent under its name is removed, fields and trailer fields, also where one
//! spelling has `_` and the other `-`, which many programs take for the same.
//!
//! Of what was asked for the service hears from this layer alone: the host is the `Host` that is
//! served, and other names under which services read method, target and host (`X-Original-URL`,
//! `X-Rewrite-URL`, `X-Auth-Request-Redirect` and their kind) are not in the question.
//!
//! # Ordering
//! Behind rules and limits, which cost less, and in front of a cache: a stored response is
//! authorised too. Behind [`ClientAddrLayer`](proxy_core::ClientAddrLayer), with
//! [`keeps_forwarded`](ForwardAuth::keeps_forwarded), where a proxy in front ends TLS.
//!
//! # Errors and responses
//! 503 `authorization_unavailable` where there is no decision. The inner service's errors and
//! responses pass. No content of a request is read before the decision.
//!
//! # Cancellation
//! Dropping the future drops the question, or the inner future.
//!
//! # Metrics
//! `proxy_filter_forward_auth_requests_total` by `service` and `outcome`, and
//! `proxy_filter_forward_auth_duration_seconds` by `service`.

mod answer;
mod asks;
mod body;
mod future;
mod layer;
mod metrics;
mod question;

pub use answer::MAX_CONTENT;
pub use asks::ForwardAuth;
pub use body::ForwardAuthBody;
pub use future::ForwardAuthFuture;
pub use layer::{ForwardAuthLayer, ForwardAuthorized};

/// The name in decisions.
const LAYER: &str = "forward_auth";

#[cfg(test)]
mod tests;
