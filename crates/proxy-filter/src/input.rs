//! `InputLayer`: what a request may look like, before anybody works on it.
//!
//! ```no_run
//! use axum::{Router, routing::post};
//! use proxy_filter::input::{InputLayer, InputRules, JsonRules};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! let rules = InputRules {
//!     methods: vec![http::Method::POST],
//!     content_types: vec!["application/json".into()],
//!     parameters: Some(10),
//!     json: Some(JsonRules { depth: 8, ..JsonRules::default() }),
//!     ..InputRules::default()
//! };
//! let app: Router =
//!     Router::new().route("/", post(|body: String| async { body })).layer(InputLayer::new(rules));
//! axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await
//! # }
//! ```
//!
//! Content is judged while it streams: its charset, and the structure of JSON, without building a
//! tree. Only a schema needs the whole document, which is then held, up to a limit. With
//! [`InputRules::report`] what is wrong is said, and passes.
//!
//! # Ordering
//! Behind what limits how often and how much is asked, before what works on requests; behind what
//! makes paths normal.
//!
//! # Errors and responses
//! | status | reasons |
//! |---|---|
//! | 400 | `parameter_required`, `field_required`, `too_many_parameters`, `parameter_too_long`, `target_not_utf8`, `content_not_utf8`, `content_incomplete`, `json_malformed` |
//! | 405, with `Allow` | `method_not_allowed` |
//! | 413 | `content_too_large`: more than may come, or than is held for a schema |
//! | 414 | `target_too_long` |
//! | 415 | `content_type_not_allowed`, `charset_not_allowed`, `content_coding_not_allowed` |
//! | 422 | `json_too_deep`, `json_too_many_members`, `json_member_repeated`, `json_string_too_long`, `schema_mismatch` |
//! | 431 | `too_many_fields`, `field_too_long`, `fields_too_large` |
//!
//! Nothing of the request is echoed. Where content turns out to be wrong after the inner service
//! was called, its future is dropped and the refusal is the answer; where the response has begun,
//! the request's content breaks off with an error. The inner service's errors pass.
//!
//! # Cancellation
//! Holds a document for a schema, nothing else; dropped with the future.
//!
//! # Metrics
//! [`metrics::REQUESTS`] by outcome and [`metrics::FAULTS`] by reason, where
//! [`InputLayer::metrics`] was called. What is refused or reported is in the
//! [`Exchange`](proxy_core::Exchange), with the rule id `input.REASON`.

pub mod body;
mod content;
mod fault;
pub mod future;
mod json;
pub mod layer;
pub mod metrics;
mod query;
mod record;
pub mod rules;
mod schema;

pub use body::InputBody;
pub use future::InputFuture;
pub use layer::{Input, InputLayer};
pub use rules::{InputRules, JsonRules};
pub use schema::{ContentSchema, DEFAULT_SCHEMA_SIZE};
#[cfg(feature = "json-schema")]
pub use schema::{JsonSchema, MAX_SCHEMA_DEPTH, SchemaError};
