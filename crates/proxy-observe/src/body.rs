//! The bodies: the request's, which counts, and the response's, which also holds the record.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Exchange};

use crate::record::Open;

pin_project! {
    /// A request body whose bytes are counted into the exchange.
    #[derive(Debug)]
    pub struct ObserveRequestBody<B> {
        #[pin]
        inner: B,
        exchange: Option<Exchange>,
    }
}

impl<B: Body> ObserveRequestBody<B> {
    pub(crate) fn new(inner: B, exchange: Option<Exchange>) -> Self {
        if let Some(exchange) = &exchange
            && inner.is_end_stream()
        {
            exchange.set_request_whole();
        }
        Self { inner, exchange }
    }
}

impl<B: Body<Data = Bytes>> Body for ObserveRequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if let Some(exchange) = &this.exchange {
            if let Some(Ok(frame)) = &frame
                && let Some(data) = frame.data_ref()
            {
                exchange.add_request_bytes(data.len() as u64);
            }
            if frame.is_none() || this.inner.is_end_stream() {
                exchange.set_request_whole();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

pin_project! {
    /// A response body that finishes the record when it ends, fails or is dropped.
    #[derive(Debug)]
    pub struct ObserveBody<B> {
        #[pin]
        inner: B,
        open: Option<Box<Open>>,
    }
}

impl<B> ObserveBody<B> {
    pub(crate) const fn new(inner: B, open: Option<Box<Open>>) -> Self {
        Self { inner, open }
    }
}

impl<B> Body for ObserveBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                if let Some(open) = this.open {
                    let n = frame.data_ref().map_or(0, |data| data.len() as u64);
                    open.sent(n, this.inner.is_end_stream());
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let error = error.into();
                if let Some(open) = this.open.take() {
                    open.broke(&*error);
                }
                Some(Err(error))
            }
            None => {
                if let Some(open) = this.open.take() {
                    open.ended();
                }
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_small() {
        type Inner = [u64; 4];
        let inner = size_of::<Inner>();
        assert!(size_of::<ObserveBody<Inner>>() <= inner + 64);
        assert!(size_of::<ObserveRequestBody<Inner>>() <= inner + 64);
        assert_eq!(size_of::<ObserveBody<Inner>>(), inner + size_of::<usize>());
    }
}
