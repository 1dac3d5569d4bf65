//! The response content on its way from an origin; drives the connection it comes on.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use proxy_core::BoxError;

use crate::connection::OriginConnection;
use crate::pool::{Place, Pool};

pub(crate) struct ResponseBody {
    /// Gone once it is back in the pool, or of no more use.
    connection: Option<Box<OriginConnection>>,
    pool: Pool,
    read_idle: Duration,
    /// Bytes that are still to be given out, where that is known.
    left: Option<u64>,
    /// What came along with the head.
    first: Option<Frame<Bytes>>,
}

impl ResponseBody {
    pub(crate) fn new(
        connection: Box<OriginConnection>,
        length: Option<u64>,
        first: Option<Frame<Bytes>>,
        pool: Pool,
        read_idle: Duration,
    ) -> Self {
        let mut body = Self { connection: Some(connection), pool, read_idle, left: length, first };
        body.release_if_whole();
        body
    }

    /// Where the content is whole others may use the connection, once the request is sent.
    fn release_if_whole(&mut self) {
        if self.connection.as_ref().is_some_and(|c| c.is_answered())
            && let Some(connection) = self.connection.take()
        {
            release(connection, &self.pool, self.read_idle);
        }
    }
}

/// Gives a connection back whose response is whole.
pub(crate) fn release(connection: Box<OriginConnection>, pool: &Pool, idle: Duration) {
    if !connection.is_sending() {
        return pool.put(connection);
    }
    // The origin answered before it had all of the request. The client has its answer and waits
    // for nothing; what it still sends goes where it was meant to go.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(finish_request(connection, pool.clone(), idle, pool.outliving()));
    }
}

/// Sends the rest of a request whose response is whole. Ends with the connection, with the
/// client's content, or when nothing has moved for `idle`.
async fn finish_request(
    mut connection: Box<OriginConnection>,
    pool: Pool,
    idle: Duration,
    _counted: Place,
) {
    connection.wait_for_rest();
    if poll_fn(|cx| connection.poll_rest(cx, idle)).await {
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
        let frame = match (this.first.take(), &mut this.connection) {
            (Some(first), _) => Some(Ok(first)),
            (None, None) => return Poll::Ready(None),
            (None, Some(connection)) => {
                let frame = ready!(connection.poll_frame(cx, this.read_idle));
                if matches!(frame, Some(Err(_))) {
                    this.connection = None;
                }
                this.release_if_whole();
                frame
            }
        };
        if let (Some(left), Some(Ok(frame))) = (&mut this.left, &frame) {
            *left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.connection.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests;
