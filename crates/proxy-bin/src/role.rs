//! `RoleService`: what a listener does, whichever role it has. A listener may change its role while
//! its connections stand.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use proxy_core::{Body, BoxError};
use tower_service::Service;

use crate::cache::MaybeCachedBody;
use crate::forward::{ForwardDispatchFuture, ForwardRole, ForwardRoleFuture};
use crate::gateway::{Gateway, GatewayFuture};
use crate::stack::MaybeStackedFuture;

/// The role of a listener. A clone is the same.
#[derive(Clone, Debug)]
pub enum RoleService {
    /// A gateway.
    Gateway(Gateway),
    /// A forward proxy.
    Forward(Box<ForwardRole>),
}

impl<B> Service<Request<B>> for RoleService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<MaybeCachedBody>;
    type Error = Infallible;
    type Future = RoleFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match self {
            Self::Gateway(own) => <Gateway as Service<Request<Body>>>::poll_ready(own, cx),
            Self::Forward(own) => <ForwardRole as Service<Request<Body>>>::poll_ready(own, cx),
        }
    }

    fn call(&mut self, request: Request<B>) -> RoleFuture {
        match self {
            Self::Gateway(own) => RoleFuture::Gateway { inner: own.call(request) },
            Self::Forward(own) => RoleFuture::Forward { inner: own.call(request) },
        }
    }
}

pin_project! {
    /// The future of [`RoleService`].
    #[project = FutureProj]
    #[allow(missing_docs, reason = "the macro takes no docs on variants' fields")]
    pub enum RoleFuture {
        /// Of a gateway.
        Gateway { #[pin] inner: GatewayFuture },
        /// Of a forward proxy.
        Forward { #[pin] inner: ForwardRoleFuture<MaybeStackedFuture<ForwardDispatchFuture>> },
    }
}

impl Future for RoleFuture {
    type Output = Result<Response<MaybeCachedBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            FutureProj::Gateway { inner } => inner.poll(cx),
            FutureProj::Forward { inner } => inner.poll(cx),
        }
    }
}

impl std::fmt::Debug for RoleFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoleFuture").finish_non_exhaustive()
    }
}
