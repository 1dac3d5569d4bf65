//! The layer contract, as a suite of checks.
//!
//! Every layer of the proxy keeps this contract, and a third party's layer may hold itself to it:
//!
//! 1. **Shape.** A service over any request body and any response body whose data is `Bytes`;
//!    its error is the inner one; with an inner service that can not fail it stands in an axum
//!    router.
//! 2. **Readiness.** `poll_ready` forwards Pending and errors, `call` uses the inner service that
//!    was polled, and clones none.
//! 3. **Refusals.** A refusal is a response with a [`Refusal`](proxy_core::Refusal) in its
//!    extensions; the inner service is not called, the request's content is not read.
//! 4. **Bodies.** Wrappers forward frames in order, trailers, errors, size hint and end of
//!    stream; they read nothing ahead, wake nobody without need, never poll what has ended, and
//!    add no more than [`BODY_OVERHEAD`] bytes.
//! 5. **Cancellation.** Dropping the future or a body, at any point, drops the inner one.
//! 6. **Clones.** A clone of the service clones the inner one once and serves as it does; the
//!    service adds no more than [`SERVICE_OVERHEAD`] bytes, one `Arc`.
//! 7. **Records.** It works with and without an exchange, and what others put into the
//!    extensions of request and response stays there.
//!
//! What a suite from outside can not see stays with review: that the future is named and unboxed
//! (see [`Sizes`]), that time and tasks come through the constructor, that policies fail closed.
//!
//! ```
//! use http::Request;
//! use proxy_core::hygiene::{HygieneLayer, Role};
//! use proxy_testkit::LayerContract;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let sizes = LayerContract::new(HygieneLayer::new(Role::Gateway, "edge"))
//!     // A request that the layer passes on.
//!     .request(|| Request::get("/a").header("host", "a.test").body(()).unwrap())
//!     // One that it refuses.
//!     .refuses(|| Request::get("/a").body(()).unwrap())
//!     .run()
//!     .await;
//! assert!(sizes.response_body.overhead() <= 64);
//! # }
//! ```

mod bodies;
mod cancellation;
mod clause;
mod clones;
mod content;
mod readiness;
mod records;
mod refusals;
mod shape;
mod sizes;
mod subject;
mod suite;

use std::convert::Infallible;
use std::fmt;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_layer::Layer;

use crate::body::ScriptedBody;
use crate::service::{StubError, StubService};
pub use clause::Clause;
pub use sizes::{Size, Sizes};
pub use subject::{AxumSubject, Subject};
use suite::Suite;

/// What a body wrapper may add to the size of its inner body, in bytes.
pub const BODY_OVERHEAD: usize = 64;

/// What a service may add to the size of its inner service, in bytes: one `Arc`, also of an
/// unsized value.
pub const SERVICE_OVERHEAD: usize = 16;

/// The inner service of the checks.
pub type Inner<E> = StubService<ScriptedBody, E>;

/// The inner service of an axum route, as the shape check sees it.
pub type InnerRoute = StubService<Full<Bytes>, Infallible>;

/// Runs the whole suite on a layer that passes `GET /` with a `Host` on as it is.
///
/// Other layers: [`LayerContract`].
///
/// # Panics
/// Where a clause is broken; the message names it.
pub async fn assert_layer_contract<L>(layer: L) -> Sizes
where
    L: Layer<Inner<StubError>> + Layer<InnerRoute> + Clone + 'static,
    <L as Layer<Inner<StubError>>>::Service: Subject<Fault = StubError>,
    <L as Layer<InnerRoute>>::Service: AxumSubject,
{
    LayerContract::new(layer).run().await
}

/// A layer under test, and what it says of itself.
pub struct LayerContract<L> {
    layer: Box<dyn Fn() -> L>,
    request: MakeRequest,
    refused: Vec<MakeRequest>,
    changes_request_content: bool,
    changes_response_content: bool,
    defers: bool,
}

type MakeRequest = Box<dyn Fn() -> Request<()>>;

impl<L: 'static> LayerContract<L> {
    /// This layer; all checks share its state.
    pub fn new(layer: L) -> Self
    where
        L: Clone,
    {
        Self::from_fn(move || layer.clone())
    }

    /// A new layer for each check: for layers that remember requests.
    pub fn from_fn(layer: impl Fn() -> L + 'static) -> Self {
        Self {
            layer: Box::new(layer),
            request: Box::new(|| {
                let request = Request::get("/").header("host", "origin.test").body(());
                request.expect("a valid request")
            }),
            refused: Vec::new(),
            changes_request_content: false,
            changes_response_content: false,
            defers: false,
        }
    }

    /// A request that the layer passes on. Default: `GET /` with a `Host`.
    #[must_use]
    pub fn request(mut self, request: impl Fn() -> Request<()> + 'static) -> Self {
        self.request = Box::new(request);
        self
    }

    /// A request that the layer refuses; may be given more than once.
    #[must_use]
    pub fn refuses(mut self, request: impl Fn() -> Request<()> + 'static) -> Self {
        self.refused.push(Box::new(request));
        self
    }

    /// The layer may change the request's content as it passes. Frames, sizes and backpressure are
    /// then its own affair; trailers, errors, ends and drops are still checked.
    #[must_use]
    pub fn changes_request_content(mut self) -> Self {
        self.changes_request_content = true;
        self
    }

    /// The same of the response's content.
    #[must_use]
    pub fn changes_response_content(mut self) -> Self {
        self.changes_response_content = true;
        self
    }

    /// The layer calls its inner service later, from its future: it may be ready by itself, and
    /// may clone and swap. The inner service still is polled before it is called.
    #[must_use]
    pub fn defers(mut self) -> Self {
        self.defers = true;
        self
    }

    /// Runs the suite.
    ///
    /// # Panics
    /// Where a clause is broken; the message names it.
    pub async fn run(self) -> Sizes
    where
        L: Layer<Inner<StubError>> + Layer<InnerRoute>,
        <L as Layer<Inner<StubError>>>::Service: Subject<Fault = StubError>,
        <L as Layer<InnerRoute>>::Service: AxumSubject,
    {
        let suite = Suite::new(&self, || StubError("the stub fails"));
        let sizes = suite.every_clause().await;
        suite.forwards_failed_readiness();
        suite.forwards_errors().await;
        suite.stands_in_an_axum_route().await;
        sizes
    }

    /// Runs the suite on a layer that answers the inner service's errors: every clause but those
    /// of the error type.
    ///
    /// ```
    /// use proxy_core::{ErrorKind, ProxyError, RescueLayer};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let error = || ProxyError::new(ErrorKind::ConnectionRefused);
    /// proxy_testkit::LayerContract::new(RescueLayer).run_absorbing(error).await;
    /// # }
    /// ```
    ///
    /// # Panics
    /// Where a clause is broken; the message names it.
    pub async fn run_absorbing<E>(self, error: fn() -> E) -> Sizes
    where
        E: Send + 'static,
        L: Layer<Inner<E>>,
        L::Service: Subject,
    {
        let suite = Suite::new(&self, error);
        let sizes = suite.every_clause().await;
        suite.absorbs_failed_readiness();
        suite.absorbs_errors().await;
        sizes
    }
}

impl<L> fmt::Debug for LayerContract<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerContract")
            .field("changes_request_content", &self.changes_request_content)
            .field("changes_response_content", &self.changes_response_content)
            .field("defers", &self.defers)
            .finish_non_exhaustive()
    }
}
