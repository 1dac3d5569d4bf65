//! A layer with faults to choose from. Without any it keeps the contract.

mod body;

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Extensions, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use proxy_core::{BoxError, Exchange};
use tower_layer::Layer;
use tower_service::Service;

pub(crate) use body::{BodyFault, FaultyBody};

/// What can be wrong with readiness, call and future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallFault {
    ClonesAndCallsTheClone,
    ClonesWithoutNeed,
    ReadyWithoutAsking,
    WakesWhileNotReady,
    LosesReadyWake,
    BuffersResponse,
    WakesWhilePending,
    LeaksFuture,
    KeepsServices,
    AnswersByItself,
    LosesRequestExtensions,
    LosesResponseExtensions,
    ReplacesExchange,
    ChangesStatus,
    AnswersErrors,
    NeedsExchange,
}

/// All that is wrong with one layer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) call: Option<CallFault>,
    pub(crate) request: Option<BodyFault>,
    pub(crate) response: Option<BodyFault>,
}

/// Makes the type that holds it too large.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Oversized {
    _ballast: [u64; 16],
}

/// The layer; the parameters are ballast in its service and in its bodies.
#[derive(Clone, Debug)]
pub(crate) struct FaultyLayer<InService = (), InBody = ()> {
    shared: Arc<Shared>,
    ballast: PhantomData<fn() -> (InService, InBody)>,
}

struct Shared {
    faults: Faults,
    kept: Mutex<Vec<Box<dyn std::any::Any + Send>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.faults.fmt(f)
    }
}

impl<P, Q> FaultyLayer<P, Q> {
    pub(crate) fn new(faults: Faults) -> Self {
        let shared = Arc::new(Shared { faults, kept: Mutex::default() });
        Self { shared, ballast: PhantomData }
    }
}

impl<S, P, Q> Layer<S> for FaultyLayer<P, Q>
where
    S: Clone + Send + 'static,
    P: Default,
{
    type Service = Faulty<S, P, Q>;

    fn layer(&self, inner: S) -> Self::Service {
        if self.shared.faults.call == Some(CallFault::KeepsServices) {
            self.shared.kept.lock().expect("kept").push(Box::new(inner.clone()));
        }
        let shared = Arc::clone(&self.shared);
        Faulty { inner, shared, _service: P::default(), body: PhantomData }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Faulty<S, P, Q> {
    inner: S,
    shared: Arc<Shared>,
    _service: P,
    body: PhantomData<fn() -> Q>,
}

type Answer<B, E, Q> = Pin<Box<dyn Future<Output = Result<Response<FaultyBody<B, Q>>, E>> + Send>>;

impl<S, P, Q, ReqB, ResB> Service<Request<ReqB>> for Faulty<S, P, Q>
where
    S: Service<Request<FaultyBody<ReqB, Q>>, Response = Response<ResB>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send,
    ResB: Body<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
    Q: Default + Send + Unpin + 'static,
{
    type Response = Response<FaultyBody<ResB, Q>>;
    type Error = S::Error;
    type Future = Answer<ResB, S::Error, Q>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        match self.shared.faults.call {
            Some(CallFault::ReadyWithoutAsking) => Poll::Ready(Ok(())),
            Some(CallFault::LosesReadyWake) => {
                self.inner.poll_ready(&mut Context::from_waker(Waker::noop()))
            }
            Some(CallFault::WakesWhileNotReady) => {
                cx.waker().wake_by_ref();
                self.inner.poll_ready(cx)
            }
            _ => self.inner.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let Faults { call: fault, request: request_fault, response } = self.shared.faults;
        let mut request = request.map(|body| FaultyBody::new(body, request_fault));
        match fault {
            Some(CallFault::NeedsExchange) => {
                assert!(Exchange::of(&request).is_some(), "needs an exchange");
            }
            Some(CallFault::LosesRequestExtensions) => {
                *request.extensions_mut() = Extensions::new();
            }
            Some(CallFault::ReplacesExchange) => {
                let other = proxy_testkit::ExchangeBuilder::new().build();
                request.extensions_mut().insert(other);
            }
            Some(CallFault::ClonesWithoutNeed) => drop(self.inner.clone()),
            _ => {}
        }
        let inner = match fault {
            Some(CallFault::ClonesAndCallsTheClone) => self.inner.clone().call(request),
            _ => self.inner.call(request),
        };
        answer(inner, fault, response)
    }
}

/// Forgets what it holds instead of dropping it, where it is told so.
struct Leak<F> {
    held: Option<Pin<Box<F>>>,
    leaks: bool,
}

impl<F> Drop for Leak<F> {
    fn drop(&mut self) {
        let held = self.held.take();
        if self.leaks {
            std::mem::forget(held);
        }
    }
}

fn answer<F, B, E, Q>(
    inner: F,
    fault: Option<CallFault>,
    body: Option<BodyFault>,
) -> Answer<B, E, Q>
where
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    E: Send,
    Q: Default + Send + Unpin + 'static,
{
    let leaks = fault == Some(CallFault::LeaksFuture);
    let mut inner = Leak { held: Some(Box::pin(inner)), leaks };
    Box::pin(async move {
        if fault == Some(CallFault::AnswersByItself) {
            return Ok(Response::new(FaultyBody::made(Bytes::new())));
        }
        let outcome = std::future::poll_fn(|cx| {
            if fault == Some(CallFault::WakesWhilePending) {
                cx.waker().wake_by_ref();
            }
            let inner = inner.held.as_mut().expect("an inner future");
            inner.as_mut().poll(cx)
        });
        let outcome = outcome.await;
        drop(inner.held.take());
        let response = match outcome {
            Err(_) if fault == Some(CallFault::AnswersErrors) => {
                return Ok(Response::new(FaultyBody::made(Bytes::new())));
            }
            outcome => outcome?,
        };
        let (mut parts, content) = response.into_parts();
        match fault {
            Some(CallFault::ChangesStatus) => parts.status = StatusCode::IM_A_TEAPOT,
            Some(CallFault::LosesResponseExtensions) => parts.extensions = Extensions::new(),
            _ => {}
        }
        let content = match fault {
            Some(CallFault::BuffersResponse) => match content.collect().await {
                Ok(whole) => FaultyBody::made(whole.to_bytes()),
                Err(_) => FaultyBody::made(Bytes::new()),
            },
            _ => FaultyBody::new(content, body),
        };
        Ok(Response::from_parts(parts, content))
    })
}
