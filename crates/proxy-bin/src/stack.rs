//! Layers that a configuration may or may not ask for, around a service: what asks for none pays
//! one branch, and nothing is boxed.
//!
//! Two places of the canonical order are such stacks: between the match of a route and its
//! dispatch (the filter), and around what a route or a forward role does (compress, inspection of
//! responses, limits of misses). Both are composed in [`compose`](crate::compose), from the inside
//! to the outside, by [`MaybeStacked::wrap`].

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use proxy_compress::decode::{Decode, DecodeBody, DecodeFuture};
use proxy_compress::{Compress, CompressBody, CompressFuture, CompressLayer, DecodeLayer};
use proxy_core::{Body, BoxError, Reply};
use proxy_observe::traces::SpanLayer;
use tower_layer::Layer;
use tower_service::Service;

use crate::cache::MaybeCachedBody;

/// A service that answers every request, as one type. A clone is the same service.
#[derive(Clone)]
pub struct Erased(Arc<dyn Erase>);

/// The future of [`Erased`].
pub type ErasedFuture =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send + 'static>>;

trait Erase: Send + Sync {
    fn serve(&self, request: Request<Body>) -> ErasedFuture;
}

impl<S, B> Erase for S
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn serve(&self, request: Request<Body>) -> ErasedFuture {
        let mut service = self.clone();
        Box::pin(async move {
            poll_fn(|cx| service.poll_ready(cx)).await?;
            Ok(service.call(request).await?.map(Body::new))
        })
    }
}

impl Erased {
    /// Erases the type of a service.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(service))
    }
}

impl<B> Service<Request<B>> for Erased
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ErasedFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The clone that is called is asked, not this one.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ErasedFuture {
        self.0.serve(request.map(Body::new))
    }
}

impl std::fmt::Debug for Erased {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Erased")
    }
}

/// Whether layers have spans of their own in traces.
#[derive(Clone, Copy, Debug)]
pub struct Spans(bool);

impl Spans {
    /// They have, or not.
    pub const fn new(recorded: bool) -> Self {
        Self(recorded)
    }

    /// The name of a span, where there are any.
    pub fn name(self, name: &'static str) -> Option<&'static str> {
        self.0.then_some(name)
    }

    /// As [`MaybeStacked::wrap`]; where there is a layer, a span of this name stands around it.
    pub fn wrap<S, L, B>(
        self,
        name: &'static str,
        stack: MaybeStacked<S>,
        layer: Option<L>,
    ) -> MaybeStacked<S>
    where
        S: Service<Request<Body>, Response = Response<MaybeCachedBody>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        L: Layer<Erased>,
        L::Service: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let span = layer.as_ref().and_then(|_| self.name(name)).map(SpanLayer::new);
        stack.wrap(layer).wrap(span)
    }

    /// As [`MaybeStacked::code`]; where there are spans, each of the layers has one.
    pub fn code<S>(
        self,
        stack: MaybeStacked<S>,
        compress: Option<CompressLayer>,
        decode: Option<DecodeLayer>,
    ) -> MaybeStacked<S>
    where
        S: Service<Request<Body>, Response = Response<MaybeCachedBody>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        if !self.0 {
            return stack.code(compress, decode);
        }
        let stack = self.wrap("decode", stack, decode);
        self.wrap("compress", stack, compress)
    }
}

/// A service, bare or below layers.
#[derive(Clone, Debug)]
pub enum MaybeStacked<S> {
    /// No layer was asked for.
    Plain(S),
    /// Below the two layers of content coding alone, which many ask for.
    Coded(Compress<Decode<S>>),
    /// Below at least one layer.
    Stacked(Erased),
}

impl<S> MaybeStacked<S>
where
    S: Service<Request<Body>, Response = Response<MaybeCachedBody>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    /// The service.
    pub const fn new(service: S) -> Self {
        Self::Plain(service)
    }

    /// Puts a layer around all that is there, where there is one to put.
    #[must_use]
    pub fn wrap<L, B>(self, layer: Option<L>) -> Self
    where
        L: Layer<Erased>,
        L::Service: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let Some(layer) = layer else { return self };
        Self::Stacked(Erased::new(layer.layer(self.erased())))
    }

    /// Puts the layers of content coding around all that is there: decoding below coding.
    #[must_use]
    pub fn code(self, compress: Option<CompressLayer>, decode: Option<DecodeLayer>) -> Self {
        match (self, compress, decode) {
            (Self::Plain(service), Some(compress), Some(decode)) => {
                Self::Coded(compress.layer(decode.layer(service)))
            }
            (stack, compress, decode) => stack.wrap(decode).wrap(compress),
        }
    }

    fn erased(self) -> Erased {
        match self {
            Self::Plain(service) => Erased::new(service),
            Self::Coded(service) => Erased::new(service),
            Self::Stacked(stack) => stack,
        }
    }
}

impl<S> Service<Request<Body>> for MaybeStacked<S>
where
    S: Service<Request<Body>, Response = Response<MaybeCachedBody>, Error = Infallible>,
{
    type Response = Response<MaybeCachedBody>;
    type Error = Infallible;
    type Future = MaybeStackedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match self {
            Self::Plain(service) => service.poll_ready(cx),
            Self::Coded(service) => service.poll_ready(cx),
            Self::Stacked(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self {
            Self::Plain(service) => MaybeStackedFuture::Plain { inner: service.call(request) },
            Self::Coded(service) => MaybeStackedFuture::Coded { inner: service.call(request) },
            Self::Stacked(stack) => MaybeStackedFuture::Stacked { inner: stack.call(request) },
        }
    }
}

pin_project! {
    /// The future of [`MaybeStacked`].
    #[project = FutureProj]
    #[allow(missing_docs, reason = "the macro takes no docs on variants' fields")]
    pub enum MaybeStackedFuture<F> {
        /// No layer was asked for.
        Plain { #[pin] inner: F },
        /// Below those of content coding.
        Coded { #[pin] inner: CompressFuture<DecodeFuture<F, MaybeCachedBody>> },
        /// Below layers.
        Stacked { inner: ErasedFuture },
    }
}

impl<F> Future for MaybeStackedFuture<F>
where
    F: Future<Output = Result<Response<MaybeCachedBody>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            FutureProj::Plain { inner } => inner.poll(cx),
            FutureProj::Coded { inner } => {
                inner.poll(cx).map_ok(|response| response.map(after_coding))
            }
            FutureProj::Stacked { inner } => inner.as_mut().poll(cx).map_ok(|response| {
                response.map(|body| MaybeCachedBody::Plain { body: Reply::inner(body) })
            }),
        }
    }
}

/// What is not coded here is what it was: only what is pays for a box.
fn after_coding(body: CompressBody<DecodeBody<MaybeCachedBody>>) -> MaybeCachedBody {
    let boxed = |body| MaybeCachedBody::Plain { body: Reply::inner(body) };
    match body.into_inner().map(DecodeBody::into_inner) {
        Ok(Ok(body)) => body,
        Ok(Err(decoded)) => boxed(Body::new(decoded)),
        Err(coded) => boxed(Body::new(coded)),
    }
}

impl<F> std::fmt::Debug for MaybeStackedFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MaybeStackedFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tower::ServiceExt;
    use tower::service_fn;
    use tower::util::MapResponseLayer;

    use super::*;

    fn mark(
        word: &'static str,
    ) -> impl Fn(Response<Body>) -> Response<Body> + Clone + Send + Sync + 'static {
        move |mut response| {
            response.headers_mut().append("passed", HeaderValue::from_static(word));
            response
        }
    }

    async fn passed<S>(stack: MaybeStacked<S>) -> Vec<String>
    where
        S: Service<Request<Body>, Response = Response<MaybeCachedBody>, Error = Infallible>,
    {
        let Ok(response) = stack.oneshot(Request::new(Body::empty())).await;
        let values = response.headers().get_all("passed");
        values.iter().map(|v| v.to_str().unwrap_or("?").to_owned()).collect()
    }

    #[tokio::test]
    async fn layers_stand_around_each_other_and_absent_ones_are_not_there() {
        let service = service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(MaybeCachedBody::made(Bytes::from_static(b"x"))))
        });
        let bare =
            MaybeStacked::new(service).wrap(None::<MapResponseLayer<fn(_) -> Response<Body>>>);
        assert!(matches!(bare, MaybeStacked::Plain(_)));
        let stack = bare
            .wrap(Some(MapResponseLayer::new(mark("inner"))))
            .wrap(Some(MapResponseLayer::new(mark("outer"))));
        assert_eq!(passed(stack).await, ["inner", "outer"]);
    }
}
