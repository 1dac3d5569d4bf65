//! A layer that changes the response's content.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use tower_layer::Layer;
use tower_service::Service;

use super::Boxed;

/// Writes text in capitals.
#[derive(Clone, Copy)]
pub(crate) struct UppercaseLayer {
    pub(crate) keeps_trailers: bool,
}

#[derive(Clone)]
pub(crate) struct Uppercase<S> {
    inner: S,
    keeps_trailers: bool,
}

impl<S> Layer<S> for UppercaseLayer {
    type Service = Uppercase<S>;
    fn layer(&self, inner: S) -> Uppercase<S> {
        Uppercase { inner, keeps_trailers: self.keeps_trailers }
    }
}

impl<S, B, R> Service<Request<B>> for Uppercase<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<UppercaseBody<R>>;
    type Error = S::Error;
    type Future = Boxed<Self::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (answer, keeps_trailers) = (self.inner.call(request), self.keeps_trailers);
        Box::pin(async move {
            Ok(answer.await?.map(|inner| UppercaseBody { inner: Box::pin(inner), keeps_trailers }))
        })
    }
}

pub(crate) struct UppercaseBody<B> {
    inner: Pin<Box<B>>,
    keeps_trailers: bool,
}

impl<B: Body<Data = Bytes>> Body for UppercaseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(self.inner.as_mut().poll_frame(cx));
        let lost = matches!(&frame, Some(Ok(frame)) if frame.is_trailers() && !self.keeps_trailers);
        Poll::Ready(match frame {
            _ if lost => None,
            Some(Ok(frame)) => Some(Ok(frame.map_data(|data| data.to_ascii_uppercase().into()))),
            ended => ended,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}
