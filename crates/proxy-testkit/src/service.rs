//! `StubService`: an inner service that answers as a test says and watches how it is called.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use proxy_testkit::{Answer, StubService};
//! use tower::{Service, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let (mut stub, handle) =
//!     StubService::<Empty<bytes::Bytes>, std::io::Error>::new(|| Answer::Respond(Response::default()));
//! let request = Request::new(Empty::<bytes::Bytes>::new());
//! let ready = ServiceExt::<Request<Empty<bytes::Bytes>>>::ready(&mut stub).await.unwrap();
//! ready.call(request).await.unwrap();
//! assert_eq!(handle.calls(), 1);
//! # }
//! ```

mod future;
mod handle;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use proxy_core::{BoxError, Sleep};
use tower_service::Service;

use crate::contract::Clause;
use crate::lock;
pub use future::StubFuture;
pub use handle::StubHandle;

/// A body of erased type.
pub type ErasedBody = UnsyncBoxBody<Bytes, BoxError>;

/// How a [`StubService`] answers one call.
pub enum Answer<B, E> {
    /// At once.
    Respond(Response<B>),
    /// With an error.
    Fail(E),
    /// After [`StubHandle::release`].
    Held(Box<Self>),
    /// After a sleep.
    Slow(Sleep, Box<Self>),
    /// Never.
    Never,
    /// By a panic in `call`.
    PanicInCall,
    /// By a panic in the future.
    PanicInFuture,
}

/// A request as the stub saw it.
pub struct SeenRequest {
    /// The request; its body is the one that the layer passed on.
    pub request: Request<ErasedBody>,
    /// The size of the body type that the layer passed on, before it was erased.
    pub body_size: usize,
}

/// The error of a stub in the contract suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StubError(pub &'static str);

impl fmt::Display for StubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for StubError {}

/// An inner service over any request body.
///
/// `call` panics unless `poll_ready` gave Ready on this very instance since its last call: a
/// clone is never ready, as of a service that reserves a slot. The misuse is noted as well, for
/// layers that catch panics.
pub struct StubService<B, E> {
    shared: Arc<Mutex<Shared<B, E>>>,
    polled_ready: bool,
}

pub(crate) struct Shared<B, E> {
    readiness: Readiness<E>,
    answer: Box<dyn FnMut() -> Answer<B, E> + Send>,
    ready_waker: Option<Waker>,
    held_waker: Option<Waker>,
    releases: usize,
    calls: usize,
    clones: usize,
    services: usize,
    futures: usize,
    misuses: Vec<&'static str>,
    seen: VecDeque<SeenRequest>,
}

enum Readiness<E> {
    Ready,
    Pending,
    Failed(Option<E>),
}

impl<B, E> StubService<B, E> {
    /// A service that is ready and takes each answer from the closure.
    pub fn new(answer: impl FnMut() -> Answer<B, E> + Send + 'static) -> (Self, StubHandle<B, E>) {
        let shared = Arc::new(Mutex::new(Shared {
            readiness: Readiness::Ready,
            answer: Box::new(answer),
            ready_waker: None,
            held_waker: None,
            releases: 0,
            calls: 0,
            clones: 0,
            services: 1,
            futures: 0,
            misuses: Vec::new(),
            seen: VecDeque::new(),
        }));
        let handle = StubHandle(Arc::clone(&shared));
        (Self { shared, polled_ready: false }, handle)
    }

    /// A service that gives one answer, and none to a second call.
    pub fn once(answer: Answer<B, E>) -> (Self, StubHandle<B, E>)
    where
        B: Send + 'static,
        E: Send + 'static,
    {
        let mut answer = Some(answer);
        Self::new(move || answer.take().unwrap_or(Answer::Never))
    }
}

impl<B, E> Clone for StubService<B, E> {
    fn clone(&self) -> Self {
        {
            let mut shared = lock(&self.shared);
            shared.clones += 1;
            shared.services += 1;
        }
        Self { shared: Arc::clone(&self.shared), polled_ready: false }
    }
}

impl<B, E> Drop for StubService<B, E> {
    fn drop(&mut self) {
        lock(&self.shared).services -= 1;
    }
}

impl<B, E> fmt::Debug for StubService<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StubService").field("polled_ready", &self.polled_ready).finish()
    }
}

impl<ReqB, B, E> Service<Request<ReqB>> for StubService<B, E>
where
    ReqB: Body<Data = Bytes> + Send + 'static,
    ReqB::Error: Into<BoxError>,
{
    type Response = Response<B>;
    type Error = E;
    type Future = StubFuture<B, E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let mut shared = lock(&self.shared);
        match &mut shared.readiness {
            Readiness::Ready => {
                self.polled_ready = true;
                Poll::Ready(Ok(()))
            }
            Readiness::Failed(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
            Readiness::Pending => {
                shared.ready_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn call(&mut self, request: Request<ReqB>) -> StubFuture<B, E> {
        let answer = {
            let mut shared = lock(&self.shared);
            shared.calls += 1;
            if !std::mem::take(&mut self.polled_ready) {
                let misuse = "`call` on an inner service that was not polled ready";
                shared.misuses.push(misuse);
                drop(shared);
                Clause::Readiness.broken(misuse);
            }
            shared.futures += 1;
            (shared.answer)()
        };
        let seen = SeenRequest {
            request: request.map(|body| body.map_err(Into::into).boxed_unsync()),
            body_size: size_of::<ReqB>(),
        };
        // Made before the panic, so that its drop takes the future off the count again.
        let future = StubFuture::new(Arc::clone(&self.shared), answer, seen);
        assert!(!future.panics_in_call(), "the inner service panics in `call`");
        future
    }
}

#[cfg(test)]
mod tests;
