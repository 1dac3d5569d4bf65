//! `ResponseInspect`: the service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{IF_RANGE, RANGE};
use http::{Request, Response};
use http_body::Body;
use proxy_core::{BoxError, Exchange, Reply};
use tower_service::Service;

use super::Shared;
use super::future::ResponseInspectFuture;
use crate::inspect::layer::InspectBody;

/// The service of [`ResponseInspectLayer`](super::ResponseInspectLayer).
#[derive(Clone)]
pub struct ResponseInspect<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> ResponseInspect<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S: fmt::Debug> fmt::Debug for ResponseInspect<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseInspect").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for ResponseInspect<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<Reply<InspectBody<ResB>>>;
    type Error = S::Error;
    type Future = ResponseInspectFuture<S::Future, ResB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqB>) -> Self::Future {
        if self.shared.engine.wants_the_whole() {
            request.headers_mut().remove(RANGE);
            request.headers_mut().remove(IF_RANGE);
        }
        let exchange = Exchange::of(&request).cloned();
        ResponseInspectFuture::new(self.inner.call(request), exchange, Arc::clone(&self.shared))
    }
}
