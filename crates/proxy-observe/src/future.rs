//! The future of the service.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use pin_project_lite::pin_project;
use proxy_core::BoxError;

use crate::body::ObserveBody;
use crate::record::Open;

pin_project! {
    /// The future of [`Observe`](crate::Observe). Dropped before the response: the client left.
    #[derive(Debug)]
    pub struct ObserveFuture<F> {
        #[pin]
        inner: F,
        open: Option<Box<Open>>,
    }
}

impl<F> ObserveFuture<F> {
    pub(crate) const fn new(inner: F, open: Option<Box<Open>>) -> Self {
        Self { inner, open }
    }
}

impl<F, ResB, E> Future for ObserveFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
    ResB: http_body::Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Output = Result<Response<ObserveBody<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let open = this.open.take();
        Poll::Ready(match result {
            Ok(mut response) => {
                let open = open.and_then(|open| open.answered(&mut response));
                Ok(response.map(|body| ObserveBody::new(body, open)))
            }
            Err(error) => {
                if let Some(open) = open {
                    open.failed();
                }
                Err(error)
            }
        })
    }
}
