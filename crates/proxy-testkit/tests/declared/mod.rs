//! Layers that need to say something of themselves.

mod refuse;
mod uppercase;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response};
use proxy_core::{Refusal, Reply};
use tower_layer::Layer;
use tower_service::Service;

pub(crate) use refuse::{RefuseLayer, Wrong};
pub(crate) use uppercase::UppercaseLayer;

type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Always ready; asks its inner service from the future, or forgets to.
#[derive(Clone, Copy)]
pub(crate) struct DeferLayer {
    pub(crate) polls: bool,
}

#[derive(Clone)]
pub(crate) struct Defer<S> {
    inner: S,
    polls: bool,
}

impl<S> Layer<S> for DeferLayer {
    type Service = Defer<S>;
    fn layer(&self, inner: S) -> Defer<S> {
        Defer { inner, polls: self.polls }
    }
}

impl<S, B> Service<Request<B>> for Defer<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Boxed<S::Response, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut inner, polls) = (self.inner.clone(), self.polls);
        Box::pin(async move {
            if polls {
                std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
            }
            inner.call(request).await
        })
    }
}

/// Passes one request on and refuses all others, as one that remembers answers others itself.
#[derive(Clone, Default)]
pub(crate) struct OnceLayer {
    asked: Arc<AtomicBool>,
}

#[derive(Clone)]
pub(crate) struct Once<S> {
    inner: S,
    asked: Arc<AtomicBool>,
}

impl<S> Layer<S> for OnceLayer {
    type Service = Once<S>;
    fn layer(&self, inner: S) -> Once<S> {
        Once { inner, asked: Arc::clone(&self.asked) }
    }
}

impl<S, B, R> Service<Request<B>> for Once<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<Reply<R>>;
    type Error = S::Error;
    type Future = Boxed<Self::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.asked.swap(true, Ordering::Relaxed) {
            let refusal = Refusal::new(http::StatusCode::CONFLICT, "asked_before");
            return Box::pin(std::future::ready(Ok(refusal.into_response())));
        }
        let inner = self.inner.call(request);
        Box::pin(async move { Ok(inner.await?.map(Reply::inner)) })
    }
}
