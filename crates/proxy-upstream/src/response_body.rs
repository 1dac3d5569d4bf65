//! The response content on its way from an origin; drives the connection it comes on.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
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

    /// Looks at what came along with the head.
    pub(crate) fn begin(&mut self) -> Result<Begun, ProxyError> {
        let mut cx = Context::from_waker(Waker::noop());
        // hyper has noted this task as the one to wake when somebody wants the content. That is
        // the task which is about to want it: it would wake itself once for each response.
        if let Some(connection) = &mut self.connection {
            let _ = connection.drive(&mut cx);
        }
        let frame = match self.poll_next(&mut cx) {
            Poll::Pending => return Ok(Begun::Open),
            Poll::Ready(None) => return Ok(Begun::Whole(Bytes::new())),
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => return Err(error),
        };
        match frame.into_data() {
            Ok(content) if self.incoming.is_end_stream() => return Ok(Begun::Whole(content)),
            Ok(content) => self.first = Some(Frame::data(content)),
            Err(trailers) => self.first = Some(trailers),
        }
        // Behind the first piece a fault is often there too.
        if let Some(connection) = &mut self.connection {
            let _ = connection.drive(&mut cx);
            if connection.link.is_faulty() {
                return Err(ProxyError::new(ErrorKind::HttpResponseTransferCoding));
            }
        }
        Ok(Begun::Open)
    }

    /// The next frame, and nothing else: no timer runs. The body's channel gets no waker: the
    /// connection that fills it is driven here, and its socket wakes the task.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ProxyError>>> {
        let mut nobody = Context::from_waker(Waker::noop());
        let mut frame = Pin::new(&mut self.incoming).poll_frame(&mut nobody);
        let mut driven = Poll::Pending;
        if frame.is_pending()
            && let Some(connection) = &mut self.connection
        {
            driven = connection.drive(cx);
            frame = Pin::new(&mut self.incoming).poll_frame(&mut nobody);
        }
        let Poll::Ready(frame) = frame else { return Poll::Pending };
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
                let incomplete = ErrorKind::HttpResponseIncomplete;
                let error = match (self.connection.take(), &driven) {
                    (Some(connection), Poll::Ready(Err(cause))) => {
                        failure(&connection.link, cause, incomplete)
                    }
                    (Some(connection), _) => failure(&connection.link, &error, incomplete),
                    (None, _) => ProxyError::new(incomplete),
                };
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    /// The content is whole: others may use the connection, once the request is sent.
    fn release(&mut self) {
        if let Some(connection) = self.connection.take() {
            release(connection, &self.pool, self.read_idle);
        }
    }
}

/// Gives a connection back whose response is whole.
pub(crate) fn release(connection: Box<OriginConnection>, pool: &Pool, idle: Duration) {
    if connection.link.is_request_done() {
        return pool.put(connection);
    }
    // The origin answered before it had all of the request. The client has its answer and waits
    // for nothing; what it still sends goes where it was meant to go.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(finish_request(connection, pool.clone(), idle));
    }
}

/// Sends the rest of a request whose response is whole. Ends with the connection, with the
/// client's content, or when nothing has moved for `idle`.
async fn finish_request(mut connection: Box<OriginConnection>, pool: Pool, idle: Duration) {
    let mut written = connection.link.written();
    connection.deadline.set(Instant::now() + idle);
    let finished = poll_fn(|cx| {
        if connection.drive(cx).is_ready() {
            return Poll::Ready(false);
        }
        if connection.link.is_request_done() {
            return Poll::Ready(true);
        }
        if connection.link.written() != written {
            written = connection.link.written();
            connection.deadline.set(Instant::now() + idle);
        }
        connection.deadline.poll(cx).map(|()| false)
    })
    .await;
    if finished {
        pool.put(connection);
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
        if let Poll::Ready(frame) = this.poll_next(cx) {
            if let Some(connection) = &mut this.connection {
                connection.deadline.clear();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
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

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // Dropped behind its last frame without having been asked for the end.
        if self.incoming.is_end_stream() {
            self.release();
        }
    }
}
