//! The bench that every check stands on: a fresh service around a fresh stub, and ways to drive
//! it that notice when nothing will ever wake it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;

use super::{Clause, Inner, LayerContract, Size, Sizes, Subject};
use crate::body::ScriptedBody;
use crate::service::{Answer, SeenRequest, StubFuture, StubHandle};
use crate::wakes::WakeCount;

/// How long a future may stay pending without a wake, in turns of the runtime.
const PATIENCE: usize = 200;

/// How often a future may be polled in all.
const POLLS: usize = 10_000;

pub(super) struct Suite<'a, L, E> {
    pub(super) contract: &'a LayerContract<L>,
    pub(super) error: fn() -> E,
}

/// A message that went through the layer whole.
pub(super) struct Exchanged<B> {
    pub(super) seen: SeenRequest,
    pub(super) response: Response<B>,
}

pub(super) type Handle<E> = StubHandle<ScriptedBody, E>;

impl<'a, L, E> Suite<'a, L, E>
where
    L: 'static,
    E: Send + 'static,
{
    pub(super) fn new(contract: &'a LayerContract<L>, error: fn() -> E) -> Self {
        Self { contract, error }
    }

    /// A request that the layer passes on.
    pub(super) fn request(&self, body: ScriptedBody) -> Request<ScriptedBody> {
        (self.contract.request)().map(|()| body)
    }
}

impl<L, E> Suite<'_, L, E>
where
    L: Layer<Inner<E>> + 'static,
    L::Service: Subject,
    E: Send + 'static,
{
    /// Every clause that does not speak of errors.
    pub(super) async fn every_clause(&self) -> Sizes {
        self.forwards_readiness().await;
        self.bodies_pass_through().await;
        self.bodiless_responses_stay_so().await;
        self.drops_what_is_dropped().await;
        self.clones_serve().await;
        self.records_stay().await;
        self.refusals_are_responses().await;
        self.sizes().await
    }

    /// A layered service around a stub that gives this answer once.
    pub(super) fn service(&self, answer: Answer<ScriptedBody, E>) -> (L::Service, Handle<E>) {
        let (stub, handle) = Inner::once(answer);
        ((self.contract.layer)().layer(stub), handle)
    }

    /// Waits until the service is ready, and calls it. The future is not polled yet.
    pub(super) async fn call(
        &self,
        service: &mut L::Service,
        request: Request<ScriptedBody>,
    ) -> <L::Service as Subject>::Answer {
        let ready = std::future::poll_fn(|cx| service.poll_readiness(cx));
        let ready = settle(Clause::Readiness, "`poll_ready`", std::pin::pin!(ready)).await;
        if ready.is_err() {
            Clause::Readiness.broken("`poll_ready` failed although the inner service is ready");
        }
        service.answer(request)
    }

    /// Passes one request and its response through a new service.
    pub(super) async fn exchange(
        &self,
        clause: Clause,
        request: Request<ScriptedBody>,
        response: Response<ScriptedBody>,
    ) -> Exchanged<<L::Service as Subject>::ResponseBody> {
        let (mut service, handle) = self.service(Answer::Respond(response));
        let future = self.call(&mut service, request).await;
        let outcome = settle(clause, "the response", std::pin::pin!(future)).await;
        no_misuse(&handle);
        let Ok(response) = outcome else {
            clause.broken("an error although the inner service answered");
        };
        if handle.calls() != 1 {
            let calls = handle.calls();
            clause.broken(format_args!(
                "the inner service was called {calls} times for one request that the layer is \
                 said to pass on (status {})",
                response.status()
            ));
        }
        let Some(seen) = handle.take_request() else {
            clause.broken("a response before the inner service had given one");
        };
        Exchanged { seen, response }
    }

    async fn sizes(&self) -> Sizes {
        let message = self
            .exchange(
                Clause::Bodies,
                self.request(ScriptedBody::empty()),
                Response::new(ScriptedBody::empty()),
            )
            .await;
        let inner_body = size_of::<ScriptedBody>();
        Sizes {
            service: Size { inner: size_of::<Inner<E>>(), outer: size_of::<L::Service>() },
            future: Size {
                inner: size_of::<StubFuture<ScriptedBody, E>>(),
                outer: size_of::<<L::Service as Subject>::Answer>(),
            },
            request_body: Size { inner: inner_body, outer: message.seen.body_size },
            response_body: Size { inner: inner_body, outer: size_of_val(message.response.body()) },
        }
    }
}

/// Fails where the layer used its inner service in a way that tower forbids, also where it caught
/// the panic that came of it.
pub(super) fn no_misuse<B, E>(handle: &StubHandle<B, E>) {
    if let Some(misuse) = handle.misuses().first() {
        Clause::Readiness.broken(misuse);
    }
}

/// Polls until ready; fails where the future is pending and nothing wakes it.
pub(super) async fn settle<F: Future>(
    clause: Clause,
    what: &str,
    future: Pin<&mut F>,
) -> F::Output {
    let mut future = future;
    settle_poll(clause, what, |cx| future.as_mut().poll(cx)).await
}

/// The same for anything that can be polled.
pub(super) async fn settle_poll<T>(
    clause: Clause,
    what: &str,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> T {
    let wakes = WakeCount::new();
    for _ in 0..POLLS {
        let before = wakes.count();
        if let Poll::Ready(output) = wakes.poll(&mut poll) {
            return output;
        }
        let mut turns = 0;
        while wakes.count() == before {
            if turns == PATIENCE {
                clause.broken(format_args!("{what} is pending, and nothing will wake it"));
            }
            turns += 1;
            tokio::task::yield_now().await;
        }
    }
    clause.broken(format_args!("{what} does not come, however often it is polled"));
}
