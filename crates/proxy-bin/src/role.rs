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
use proxy_core::{Body, BoxError, Reply};
use tower_layer::Layer;
use tower_service::Service;

use crate::cache::MaybeCachedBody;
use crate::extensions::{Installed, Slot};
use crate::forward::{ForwardDispatchFuture, ForwardRole, ForwardRoleFuture};
use crate::gateway::{Gateway, GatewayFuture};
use crate::stack::{Erased, ErasedFuture, MaybeStackedFuture};

/// The role of a listener. A clone is the same.
#[derive(Clone, Debug)]
pub enum RoleService {
    /// A gateway.
    Gateway(Gateway),
    /// A forward proxy.
    Forward(Box<ForwardRole>),
    /// One of them, below layers of others.
    Extended(Erased),
}

impl RoleService {
    /// The same below the layers that stand around a role, where there are any.
    pub fn extended(self, extensions: &Installed) -> Self {
        extensions.at(Slot::Arrived).fold(self, |role, layer| {
            let inner = match role {
                Self::Extended(inner) => inner,
                role => Erased::new(role),
            };
            Self::Extended(layer.layer(inner))
        })
    }
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
            Self::Extended(own) => <Erased as Service<Request<Body>>>::poll_ready(own, cx),
        }
    }

    fn call(&mut self, request: Request<B>) -> RoleFuture {
        match self {
            Self::Gateway(own) => RoleFuture::Gateway { inner: own.call(request) },
            Self::Forward(own) => RoleFuture::Forward { inner: own.call(request) },
            Self::Extended(own) => RoleFuture::Extended { inner: own.call(request) },
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
        /// Below layers of others.
        Extended { inner: ErasedFuture },
    }
}

impl Future for RoleFuture {
    type Output = Result<Response<MaybeCachedBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            FutureProj::Gateway { inner } => inner.poll(cx),
            FutureProj::Forward { inner } => inner.poll(cx),
            FutureProj::Extended { inner } => inner.as_mut().poll(cx).map_ok(|response| {
                response.map(|body| MaybeCachedBody::Plain { body: Reply::inner(body) })
            }),
        }
    }
}

impl std::fmt::Debug for RoleFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoleFuture").finish_non_exhaustive()
    }
}
