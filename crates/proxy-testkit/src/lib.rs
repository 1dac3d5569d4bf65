//! Unpublished: what tests of layers need, and the layer contract suite.
//!
//! - [`LayerContract`] checks any tower layer against the contract that all layers of the proxy
//!   keep; a failure names the clause that broke.
//! - [`ScriptedBody`] is message content that comes step by step and watches how it is read.
//! - [`StubService`] is an inner service that answers as a test says and watches how it is called.
//! - [`ManualClock`] is time that a test turns; [`CollectedTasks`] holds background tasks until a
//!   test runs them.
//! - [`ExchangeBuilder`] makes an exchange record without a server.
//!
//! # A layer of your own
//!
//! The suite takes the layer as an axum service would, by one value:
//!
//! ```
//! use std::task::{Context, Poll};
//! use http::Request;
//! use proxy_testkit::assert_layer_contract;
//! use tower_layer::Layer;
//! use tower_service::Service;
//!
//! /// Adds a field to every request.
//! #[derive(Clone)]
//! struct GreetLayer;
//!
//! #[derive(Clone)]
//! struct Greet<S> {
//!     inner: S,
//! }
//!
//! impl<S> Layer<S> for GreetLayer {
//!     type Service = Greet<S>;
//!     fn layer(&self, inner: S) -> Greet<S> {
//!         Greet { inner }
//!     }
//! }
//!
//! // Touches neither body, so it keeps both types and the inner future.
//! impl<S, B> Service<Request<B>> for Greet<S>
//! where
//!     S: Service<Request<B>>,
//! {
//!     type Response = S::Response;
//!     type Error = S::Error;
//!     type Future = S::Future;
//!
//!     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
//!         self.inner.poll_ready(cx)
//!     }
//!
//!     fn call(&mut self, mut request: Request<B>) -> S::Future {
//!         request.headers_mut().insert("x-greeting", http::HeaderValue::from_static("hello"));
//!         self.inner.call(request)
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let sizes = assert_layer_contract(GreetLayer).await;
//!     assert_eq!(sizes.future.outer, sizes.future.inner);
//! }
//! ```
//!
//! A layer that changes content, defers its inner call or refuses requests says so:
//! see [`LayerContract`].

pub mod body;
pub mod clock;
pub mod contract;
pub mod exchange;
pub mod service;
pub mod spawn;
pub mod wakes;

pub use body::{BodyProbe, PoisonBody, ScriptedBody, Step};
pub use clock::ManualClock;
pub use contract::{LayerContract, assert_layer_contract};
pub use exchange::{ConnectionBuilder, ExchangeBuilder, InterimLog};
pub use proxy_core::TokioSpawn;
pub use service::{Answer, StubHandle, StubService};
pub use spawn::CollectedTasks;
pub use wakes::{WakeCount, poll_once};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A stub that panics on purpose may do so under a lock; what it guards stays usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
