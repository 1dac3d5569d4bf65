//! The response content on its way from an origin; drives the connection it comes on.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use proxy_core::{BoxError, ErrorKind, ProxyError};
use tokio::time::Instant;

use crate::connection::OriginConnection;
use crate::forward::failure;
use crate::pool::Pool;
use crate::request_body::sound_trailers;

pub(crate) struct ResponseBody {
    incoming: Incoming,
    /// Gone once it is back in the pool, or of no more use.
    connection: Option<Box<OriginConnection>>,
    pool: Pool,
    read_idle: Duration,
    /// What came along with the head.
    first: Option<Frame<Bytes>>,
}

/// What came along with a response's head.
pub(crate) enum Begun {
    /// All of the content.
    Whole(Bytes),
    /// Not all, or nothing yet.
    Open,
}

impl ResponseBody {
    pub(crate) fn new(
        incoming: Incoming,
        mut connection: Box<OriginConnection>,
        pool: Pool,
        read_idle: Duration,
    ) -> Self {
        connection.deadline.clear();
        Self { incoming, connection: Some(connection), pool, read_idle, first: None }
    }

    /// Looks at what is there already.
    pub(crate) fn poll_begin(&mut self, cx: &mut Context<'_>) -> Result<Begun, ProxyError> {
        let frame = match Pin::new(&mut *self).poll_frame(cx) {
            Poll::Pending => return Ok(Begun::Open),
            Poll::Ready(None) => return Ok(Begun::Whole(Bytes::new())),
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                let kind = ProxyError::find(&*error)
                    .map_or(ErrorKind::HttpResponseIncomplete, ProxyError::kind);
                return Err(ProxyError::new(kind));
            }
        };
        match frame.into_data() {
            Ok(content) if self.incoming.is_end_stream() => Ok(Begun::Whole(content)),
            Ok(content) => {
                self.first = Some(Frame::data(content));
                self.poll_second(cx)
            }
            Err(trailers) => {
                self.first = Some(trailers);
                Ok(Begun::Open)
            }
        }
    }

    /// Behind the first piece: a fault, or the end of content in chunks, is often there too.
    fn poll_second(&mut self, cx: &mut Context<'_>) -> Result<Begun, ProxyError> {
        if let Some(connection) = &mut self.connection {
            let _ = connection.drive(cx);
            if connection.link.is_faulty() {
                return Err(ProxyError::new(ErrorKind::HttpResponseTransferCoding));
            }
        }
        Ok(Begun::Open)
    }

    /// The content is whole: others may use the connection.
    fn release(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.put(connection);
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        // A frame that is there already is taken before more is read.
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            return this.frame(frame);
        }
        let driven = match &mut this.connection {
            Some(connection) => connection.drive(cx),
            None => Poll::Pending,
        };
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            if let (Poll::Ready(Err(error)), Some(connection)) = (&driven, &this.connection)
                && matches!(frame, Some(Err(_)))
            {
                let error = failure(&connection.link, error, ErrorKind::HttpResponseIncomplete);
                return Poll::Ready(Some(Err(error.into())));
            }
            return this.frame(frame);
        }
        let Some(connection) = &mut this.connection else { return Poll::Pending };
        if !connection.deadline.is_set() {
            connection.deadline.set(Instant::now() + this.read_idle);
        }
        if connection.deadline.poll(cx).is_ready() {
            this.connection = None;
            let error = ProxyError::new(ErrorKind::ConnectionReadTimeout).detail("read_idle");
            return Poll::Ready(Some(Err(error.into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.incoming.size_hint();
        if let Some(data) = self.first.as_ref().and_then(Frame::data_ref) {
            let first = data.len() as u64;
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + first);
            }
            hint.set_lower(hint.lower() + first);
        }
        hint
    }
}

impl ResponseBody {
    fn frame(
        &mut self,
        frame: Option<Result<Frame<Bytes>, hyper::Error>>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(connection) = &mut self.connection {
            connection.deadline.clear();
        }
        match frame {
            Some(Ok(frame)) => {
                if self.incoming.is_end_stream() {
                    self.release();
                }
                Poll::Ready(Some(Ok(sound_trailers(frame))))
            }
            None => {
                self.release();
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                let error = match &self.connection {
                    Some(connection) => {
                        failure(&connection.link, &error, ErrorKind::HttpResponseIncomplete)
                    }
                    None => ProxyError::new(ErrorKind::HttpResponseIncomplete),
                };
                self.connection = None;
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // Dropped behind its last frame without having been asked for the end.
        if self.incoming.is_end_stream() {
            self.release();
        }
    }
}
