//! The layer and its service.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use proxy_core::{BoxError, Exchange};
use tower_layer::Layer;
use tower_service::Service;

use crate::body::{ObserveBody, ObserveRequestBody};
use crate::future::ObserveFuture;
use crate::observer::Observer;
use crate::record::Open;

/// See the [crate](crate).
#[derive(Clone, Debug)]
pub struct ObserveLayer {
    observer: Observer,
}

impl ObserveLayer {
    /// A layer that reports to this [`Observer`], or to the one of a
    /// [`&Registry`](crate::Registry), which also makes records where no server does.
    pub fn new(observer: impl Into<Observer>) -> Self {
        Self { observer: observer.into() }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;
    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, observer: self.observer.clone() }
    }
}

/// The service of [`ObserveLayer`].
#[derive(Clone, Debug)]
pub struct Observe<S> {
    inner: S,
    observer: Observer,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Observe<S>
where
    S: Service<Request<ObserveRequestBody<ReqB>>, Response = Response<ResB>>,
    ReqB: http_body::Body,
    ResB: http_body::Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ObserveBody<ResB>>;
    type Error = S::Error;
    type Future = ObserveFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqB>) -> Self::Future {
        if Exchange::of(&request).is_none()
            && let Some(records) = self.observer.records()
        {
            records.begin(&mut request);
        }
        // The guard first: a panic in the inner call is recorded too.
        let open = Exchange::of(&request).map(|x| Open::begin(&self.observer, x, &request));
        let exchange = open.as_ref().map(|open| open.exchange().clone());
        let request = request.map(|body| ObserveRequestBody::new(body, exchange));
        ObserveFuture::new(self.inner.call(request), open)
    }
}
