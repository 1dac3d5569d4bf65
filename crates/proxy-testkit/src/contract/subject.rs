//! What the suite asks of a layered service, in types.

use std::convert::Infallible;
use std::future::Future;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use proxy_core::BoxError;
use tower_service::Service;

use crate::body::ScriptedBody;
use crate::service::ErasedBody;

/// A service over scripted requests: implemented for every layered service of the right shape.
#[diagnostic::on_unimplemented(
    message = "layer contract, clause 1 (shape): `{Self}` does not serve `Request<ScriptedBody>`",
    note = "a layer's service is `Service<Request<B>, Response = Response<_>> + Clone`, for every \
            `B: http_body::Body<Data = Bytes>`, whether or not it is `Unpin` or `Sync`"
)]
pub trait Subject: Clone {
    /// The body of its responses.
    type ResponseBody;
    /// Its error.
    type Fault;
    /// Its future.
    type Answer: Future<Output = Result<Response<Self::ResponseBody>, Self::Fault>>;

    /// `poll_ready`.
    fn poll_readiness(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Fault>>;

    /// `call`.
    fn answer(&mut self, request: Request<ScriptedBody>) -> Self::Answer;

    /// The response's body without its type.
    fn erase(body: Self::ResponseBody) -> ErasedBody;
}

impl<S, B> Subject for S
where
    S: Service<Request<ScriptedBody>, Response = Response<B>> + Clone,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type ResponseBody = B;
    type Fault = S::Error;
    type Answer = S::Future;

    fn poll_readiness(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.poll_ready(cx)
    }

    fn answer(&mut self, request: Request<ScriptedBody>) -> S::Future {
        self.call(request)
    }

    fn erase(body: B) -> ErasedBody {
        body.map_err(Into::into).boxed_unsync()
    }
}

/// A service that an axum router takes: what `Router::layer` asks for, with bodies of another type
/// than [`Subject`]'s.
#[diagnostic::on_unimplemented(
    message = "layer contract, clause 1 (shape): `{Self}` does not stand in an axum router",
    note = "it serves `Request<B>` for every body, answers `Response<_>` with any body of `Bytes`, \
            passes the inner error on (here `Infallible`), is `Clone + Send + Sync`, and its \
            future is `Send`"
)]
pub trait AxumSubject: Clone + Send + Sync + 'static {
    /// Its future.
    type Answer: Future<Output = Result<Response<ErasedBody>, Infallible>>;

    /// `poll_ready`.
    fn poll_readiness(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>>;

    /// `call`, the response's body without its type.
    fn answer(&mut self, request: Request<Empty<Bytes>>) -> Self::Answer;
}

impl<S, B> AxumSubject for S
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Answer =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<ErasedBody>, Infallible>> + Send>>;

    fn poll_readiness(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.poll_ready(cx)
    }

    fn answer(&mut self, request: Request<Empty<Bytes>>) -> Self::Answer {
        let answer = self.call(request);
        Box::pin(
            async move { Ok(answer.await?.map(|body| body.map_err(Into::into).boxed_unsync())) },
        )
    }
}
