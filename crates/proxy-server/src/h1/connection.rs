//! One conversation: request after request on a connection, until it ends or goes idle.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use proxy_core::target::AsteriskTarget;
use proxy_core::{Body, BoxError, ConnectionInfo, Ending, Exchange, InterimSink};
use tower_service::Service;

use super::end::{End, Finished};
use super::heads::Head;
use super::interim::Interim;
use super::request_body::RequestBody;
use super::response_head::{self, Asked, Coding, Content};
use super::response_writer::ResponseWriter;
use super::wire::{SharedWire, Wire, lock};
use crate::drain::{DrainGuard, DrainPhase};
use crate::edge::Edge;
use crate::transport::Transport;
use crate::tunnel::TunnelUpstream;

/// A connection while it talks.
pub(super) struct Conversation<'a, T> {
    wire: SharedWire<T>,
    interim: Arc<Interim>,
    out: ResponseWriter,
    info: &'a Arc<ConnectionInfo>,
    edge: &'a Arc<Edge>,
    guard: &'a mut DrainGuard,
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
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<End> {
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

    /// Writes the answer, and brings the exchange to its end.
    async fn answer<B>(
        &mut self,
        mut response: Response<B>,
        mut asked: Asked,
        exchange: Exchange,
    ) -> Result<(), End>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        self.interim.close();
        self.interim.take(self.out.tail());
        let mut tunnel = None;
        if asked.connect {
            tunnel = response.extensions_mut().remove::<TunnelUpstream>();
            // Bytes behind a refused CONNECT are no request.
            if tunnel.is_none() || !response.status().is_success() {
                (tunnel, asked.keep_alive) = (None, false);
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        if self.guard.phase() != DrainPhase::Serving && tunnel.is_none() {
            asked.keep_alive = false;
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        match &mut tunnel {
            Some(tunnel) => {
                exchange.set_ending(Ending::Tunnel);
                tunnel.exchange = Some(exchange);
            }
            None => drop(exchange),
        }
        let keep_alive = self.write(response, asked).await?;
        if let Some(tunnel) = tunnel {
            return Err(End::Tunnel(Box::new(tunnel)));
        }
        poll_fn(|cx| self.poll_request_end(cx)).await?;
        if keep_alive { Ok(()) } else { Err(End::Closed) }
    }

    /// Writes head and content. Gives whether the connection may be used again.
    async fn write<B>(&mut self, response: Response<B>, asked: Asked) -> Result<bool, End>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = response.into_parts();
        if head.status.is_informational() {
            // No final response: nothing of it can go out.
            (head.status, head.headers) = (StatusCode::INTERNAL_SERVER_ERROR, Default::default());
        }
        let content = match body.size_hint().exact() {
            _ if body.is_end_stream() => Content::None,
            Some(length) => Content::Known(length),
            None => Content::Unknown,
        };
        let written = response_head::write(self.out.tail(), &head, content, asked)
            .map_err(|_| End::Closed)?;
        drop(head);
        let mut coding = written.coding;
        let mut body = pin!(Some(body));
        // Nothing of it would go out: the answer has no content, or says that it has none.
        if coding == Coding::Length(0) {
            body.set(None);
        }
        let mut broken = false;
        poll_fn(|cx| {
            if self.guard.poll_phase(cx) == DrainPhase::Ending {
                return Poll::Ready(Err(End::Closed));
            }
            loop {
                let mut waits = false;
                while let Some(content) = body.as_mut().as_pin_mut() {
                    if !self.out.has_room() {
                        break;
                    }
                    let Poll::Ready(frame) = content.poll_frame(cx) else {
                        waits = true;
                        break;
                    };
                    let over = match frame {
                        Some(Ok(frame)) => self.frame(&mut coding, frame),
                        Some(Err(_)) => Some(Err(())),
                        None => Some(self.out.end(&coding, None).map_err(drop)),
                    };
                    let ended = || body.as_ref().as_pin_ref().is_some_and(|b| b.is_end_stream());
                    let over = match over {
                        None if ended() => Some(self.out.end(&coding, None).map_err(drop)),
                        over => over,
                    };
                    if let Some(outcome) = over {
                        // The exchange ends here.
                        broken = outcome.is_err();
                        body.set(None);
                    }
                }
                let poll = {
                    let mut wire = lock(&self.wire);
                    // Who has an answer needs no 100 (Continue) any more.
                    (wire.expects_continue, wire.continue_wanted) = (false, false);
                    let Some(io) = wire.io() else { return Poll::Ready(Err(End::Closed)) };
                    self.out.poll_flush(cx, io, &self.edge.settings)?
                };
                if body.is_none() {
                    return poll.map(Ok);
                }
                if waits || poll.is_pending() {
                    return self.poll_client(cx).map(Err);
                }
            }
        })
        .await?;
        // For an HTTP/1.0 client the end of the connection is the end of the answer.
        match broken {
            true if asked.version_10 => Err(End::Broken),
            true => Err(End::Closed),
            false => Ok(written.keep_alive),
        }
    }

    /// Adds a frame of content. `Some`: the content is over, whole or not.
    fn frame(
        &mut self,
        coding: &mut Coding,
        frame: http_body::Frame<Bytes>,
    ) -> Option<Result<(), ()>> {
        match frame.into_data() {
            Ok(data) => {
                self.out.data(coding, data);
                // All that was announced.
                (*coding == Coding::Length(0)).then_some(Ok(()))
            }
            Err(frame) => {
                let trailers = frame.into_trailers().ok()?;
                Some(self.out.end(coding, Some(trailers)).map_err(drop))
            }
        }
    }

    /// Behind the answer: the rest of the request's content, if somebody still reads it. Content
    /// that nobody reads ends the connection, unless it is there already.
    fn poll_request_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if self.guard.poll_phase(cx) == DrainPhase::Ending {
            return Poll::Ready(Err(End::Closed));
        }
        let mut wire = lock(&self.wire);
        wire.stop_watching();
        if wire.has_content() && wire.abandoned {
            wire.drain_content(cx);
            if wire.has_content() {
                return Poll::Ready(Err(End::Closed));
            }
        }
        if wire.has_content() {
            wire.asleep(cx);
            return Poll::Pending;
        }
        Poll::Ready(if wire.is_over() { Err(End::Closed) } else { Ok(()) })
    }
}

#[cfg(test)]
mod tests;
