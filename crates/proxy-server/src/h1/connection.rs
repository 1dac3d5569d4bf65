//! One conversation: request after request on a connection, until it ends or goes idle.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, Bytes, BytesMut};
use http::{Method, Request, Response};
use http_body::Body as HttpBody;
use proxy_core::target::AsteriskTarget;
use proxy_core::{Body, BoxError, ConnectionInfo, InterimSink};
use tower_service::Service;

use super::end::{End, Finished};
use super::heads::Head;
use super::interim::Interim;
use super::request_body::RequestBody;
use super::response_head::Asked;
use super::response_writer::ResponseWriter;
use super::wire::{SharedWire, Wire, lock};
use crate::drain::{DrainGuard, DrainPhase};
use crate::edge::Edge;
use crate::transport::Transport;

/// A connection while it talks.
pub(super) struct Conversation<'a, T> {
    pub(super) wire: SharedWire<T>,
    pub(super) interim: Arc<Interim>,
    pub(super) out: ResponseWriter,
    info: &'a Arc<ConnectionInfo>,
    pub(super) edge: &'a Arc<Edge>,
    pub(super) guard: &'a mut DrainGuard,
}

impl<'a, T: Transport> Conversation<'a, T> {
    pub(super) fn new(
        io: T,
        read_ahead: BytesMut,
        fresh: bool,
        info: &'a Arc<ConnectionInfo>,
        edge: &'a Arc<Edge>,
        guard: &'a mut DrainGuard,
    ) -> Self {
        let wire = Wire::new(io, read_ahead, Arc::clone(edge), fresh);
        Self {
            wire: Arc::new(Mutex::new(wire)),
            interim: Arc::default(),
            out: ResponseWriter::new(),
            info,
            edge,
            guard,
        }
    }

    /// Answers requests until the conversation ends.
    pub(super) async fn run<S, B>(mut self, service: &mut S) -> Option<Finished<T>>
    where
        S: Service<Request<Body>, Response = Response<B>>,
        S::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let end = loop {
            let head = match poll_fn(|cx| self.poll_head(cx)).await {
                Ok(head) => head,
                Err(end) => break end,
            };
            if let Err(end) = self.exchange(service, head).await {
                break end;
            }
        };
        lock(&self.wire).finish(end)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, End>> {
        let phase = self.guard.poll_phase(cx);
        let mut wire = lock(&self.wire);
        if phase == DrainPhase::Ending || phase == DrainPhase::Draining && !wire.within_head {
            return Poll::Ready(Err(End::Closed));
        }
        wire.poll_head(cx)
    }

    /// One request and its answer. An error is the end of the conversation.
    async fn exchange<S, B>(&mut self, service: &mut S, head: Head) -> Result<(), End>
    where
        S: Service<Request<Body>, Response = Response<B>>,
        S::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let Head { request, info } = head;
        let asked = Asked {
            head: *request.method() == Method::HEAD,
            connect: info.connect,
            version_10: info.version_10,
            keep_alive: info.keep_alive,
            takes_trailers: info.takes_trailers,
        };
        self.out.begin();
        self.interim.open(!info.version_10);
        let has_content = lock(&self.wire).has_content();
        let mut request = request.map(|()| match has_content {
            true => Body::new(RequestBody::new(Arc::clone(&self.wire), info.framing)),
            false => Body::empty(),
        });
        let interim: Arc<dyn InterimSink> = Arc::clone(&self.interim) as _;
        let exchange = self.edge.exchanges.begin(self.info, Some(interim));
        let _under_way = self.info.activity.begin_request();
        request.extensions_mut().insert(exchange.clone());
        if info.options_without_path {
            request.extensions_mut().insert(AsteriskTarget);
        }
        // Readiness is asked for because layers rely on it, and always given: what limits the
        // number of requests waits within the call, where it has an exchange and a log line.
        let _ = service.poll_ready(&mut Context::from_waker(Waker::noop()));
        let response = {
            let mut answering = pin!(service.call(request));
            poll_fn(|cx| self.poll_answer(cx, answering.as_mut())).await?
        };
        self.answer(response, asked, exchange).await
    }

    /// Waits for the response; watches the client meanwhile.
    fn poll_answer<F, B, E>(
        &mut self,
        cx: &mut Context<'_>,
        answering: Pin<&mut F>,
    ) -> Poll<Result<Response<B>, End>>
    where
        F: Future<Output = Result<Response<B>, E>>,
    {
        if self.guard.poll_phase(cx) == DrainPhase::Ending {
            return Poll::Ready(Err(End::Closed));
        }
        lock(&self.wire).awake();
        match answering.poll(cx) {
            Poll::Ready(response) => Poll::Ready(response.map_err(|_| End::Closed)),
            Poll::Pending => {
                // An interim response must find this task.
                self.interim.set_waker(cx.waker());
                self.interim.take(self.out.tail());
                self.poll_client(cx).map(Err)
            }
        }
    }

    /// While something else is waited for: writes what is there, and watches for the client's
    /// leaving. Ready: the conversation is over.
    pub(super) fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut wire = lock(&self.wire);
        if wire.continue_wanted {
            wire.continue_wanted = false;
            self.out.tail().put_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        if !self.out.is_empty() {
            let Some(io) = wire.io() else { return Poll::Ready(End::Closed) };
            if let Poll::Ready(Err(end)) = self.out.poll_flush(cx, io, &self.edge.settings) {
                return Poll::Ready(end);
            }
        }
        if wire.has_content() {
            wire.asleep(cx);
        }
        wire.poll_hang_up(cx).map(|()| End::Closed)
    }
}

#[cfg(test)]
mod tests;
