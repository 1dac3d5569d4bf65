//! `SpanLayer`: a span of its own for the layer below it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Request;
use pin_project_lite::pin_project;
use proxy_core::Exchange;
use proxy_core::exchange::LayerAtWork;
use tower_layer::Layer;
use tower_service::Service;

/// Stands around a layer and says, in traces that are recorded, when that is at work: from the call
/// to the response head. It changes nothing.
///
/// ```
/// use proxy_observe::traces::SpanLayer;
/// use tower::ServiceBuilder;
///
/// # use tower::layer::util::Identity;
/// # let my_layer = Identity::new();
/// let stack = ServiceBuilder::new().layer(SpanLayer::new("mine")).layer(my_layer);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SpanLayer {
    name: Option<&'static str>,
}

impl SpanLayer {
    /// Spans of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name: Some(name) }
    }

    /// Spans where a name is given; else it costs one branch.
    pub const fn maybe(name: Option<&'static str>) -> Self {
        Self { name }
    }
}

impl<S> Layer<S> for SpanLayer {
    type Service = Spanned<S>;
    fn layer(&self, inner: S) -> Spanned<S> {
        Spanned { inner, name: self.name }
    }
}

/// The service of [`SpanLayer`].
#[derive(Clone, Debug)]
pub struct Spanned<S> {
    inner: S,
    name: Option<&'static str>,
}

impl<S, B> Service<Request<B>> for Spanned<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = SpannedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let at_work = self.name.and_then(|name| Exchange::of(&request)?.begin_layer(name));
        SpannedFuture { inner: self.inner.call(request), at_work }
    }
}

pin_project! {
    /// The future of [`Spanned`].
    #[derive(Debug)]
    pub struct SpannedFuture<F> {
        #[pin]
        inner: F,
        at_work: Option<LayerAtWork>,
    }
}

impl<F: Future> Future for SpannedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let output = ready!(this.inner.poll(cx));
        *this.at_work = None;
        Poll::Ready(output)
    }
}
