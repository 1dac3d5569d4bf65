//! One stream: from the request's head to the last byte of the answer.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};
use http_body::Body as HttpBody;
use http_body_util::Full;
use proxy_core::error_pages::Page;
use proxy_core::{
    Body, BoxError, ConnectionEvent, Ending, Exchange, Fault, InterimSink, Refusal, TunnelEnd,
    TunnelOutcome,
};
use tower_service::Service;

use super::Connection;
use super::client_io::WRITE_TIMEOUT;
use super::content::Content;
use super::sending::{self, Sent};
use super::tunnel_io::TunnelIo;
use crate::multiplex::interim::Interim;
use crate::multiplex::streams::{Open, Unanswered};
use crate::multiplex::{head, response_head};
use crate::tunnel::{self, TunnelUpstream};

/// A request that has come, and where its answer goes.
pub(super) struct Stream {
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    connection: Arc<Connection>,
    unanswered: Unanswered,
    _open: Open,
}

/// The answer's way back.
struct Answering {
    respond: SendResponse<Bytes>,
    connection: Arc<Connection>,
    /// The answer has no content, whatever its fields say.
    to_head: bool,
    unanswered: Unanswered,
    _open: Open,
}

impl Stream {
    pub(super) fn new(
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        connection: Arc<Connection>,
    ) -> Self {
        let (unanswered, _open) =
            (Unanswered::new(&connection.streams), Open::begin(&connection.streams));
        Self { request, respond, connection, unanswered, _open }
    }

    /// Calls the service and sends what it answers.
    pub(super) async fn answer<S, B>(self, mut service: S)
    where
        S: Service<Request<Body>, Response = Response<B>>,
        S::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let Self { request, respond, connection, unanswered, _open } = self;
        let (mut head, receiving) = request.into_parts();
        let to_head = head.method == Method::HEAD;
        let mut answering = Answering { respond, connection, to_head, unanswered, _open };
        let connection = Arc::clone(&answering.connection);
        if let Err(fault) = head::judge(&mut head, &connection.edge.settings.head) {
            // Boxed: most heads are sound, and no stream should carry the size of a page.
            return Box::pin(answering.refuse(fault)).await;
        }
        let interim = Arc::new(Interim::default());
        let sink: Arc<dyn InterimSink> = Arc::clone(&interim) as _;
        let exchange = connection.edge.exchanges.begin(&connection.info, Some(sink));
        let _under_way = connection.info.activity.begin_request();
        head.extensions.insert(exchange.clone());
        let (body, tunnel) = if head.method == Method::CONNECT {
            (Body::empty(), Some((receiving, exchange)))
        } else if receiving.is_end_stream() {
            (Body::empty(), None)
        } else {
            let content = Content::new(receiving, &connection, &head.headers, &interim);
            (Body::new(content), None)
        };
        let request = Request::from_parts(head, body);
        if poll_fn(|cx| service.poll_ready(cx)).await.is_err() {
            return answering.reset();
        }
        // It ends here: what it holds is not kept for as long as the answer is sent.
        let output = {
            let called = pin!(service.call(request));
            answering.wait_for(called, &interim).await
        };
        match output {
            None => {}
            Some(Ok(response)) => answering.send(response, tunnel).await,
            Some(Err(error)) => {
                tracing::debug!(%error, "a service failed to answer");
                answering.reset();
            }
        }
    }
}

impl Answering {
    /// The service's answer; `None` where the client left before. Interim responses go out
    /// meanwhile.
    async fn wait_for<F, B, E>(
        &mut self,
        mut called: Pin<&mut F>,
        interim: &Interim,
    ) -> Option<Result<Response<B>, BoxError>>
    where
        F: Future<Output = Result<Response<B>, E>>,
        E: Into<BoxError>,
    {
        let output = poll_fn(|cx| {
            let output = called.as_mut().poll(cx);
            if output.is_ready() {
                interim.close();
            }
            while let Some(interim) = interim.next(cx.waker()) {
                // Fails only where the stream is gone, which is looked at below.
                let _ = self.respond.send_informational(interim);
            }
            match output {
                Poll::Ready(output) => Poll::Ready(Some(output.map_err(Into::into))),
                Poll::Pending => self.respond.poll_reset(cx).map(|_| None),
            }
        });
        output.await
    }

    /// Breaks it off ourselves.
    fn reset(mut self) {
        self.unanswered.answered();
        self.respond.send_reset(Reason::INTERNAL_ERROR);
    }

    /// The edge's own answer to a head that no layer shall see.
    async fn refuse(self, fault: Fault) {
        let status = fault.request_status();
        let edge = &self.connection.edge;
        let event = ConnectionEvent::HeadRefused { status, reason: fault.token() };
        edge.events.on_event(&self.connection.info, event);
        let refusal = Refusal::new(status, fault.token());
        let page = Page { refusal: &refusal, id: None, show_rule: false };
        let mut response = Response::new(Full::new(page.write(false)));
        *response.status_mut() = status;
        page.set_fields(response.headers_mut(), false, &edge.proxy_name);
        self.send(response, None).await;
    }

    async fn send<B>(self, response: Response<B>, tunnel: Option<(RecvStream, Exchange)>)
    where
        B: HttpBody<Data = Bytes>,
    {
        let Self { mut respond, connection, to_head, unanswered, _open } = self;
        let (mut head, content) = response.into_parts();
        response_head::prepare(&mut head);
        let upstream = head.extensions.remove::<TunnelUpstream>();
        let mut response = Response::new(());
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        if let (Some(upstream), Some((receiving, exchange)), true) =
            (upstream, tunnel, head.status.is_success())
        {
            response.headers_mut().remove(CONTENT_LENGTH);
            let Ok(sending) = respond.send_response(response, false) else {
                return tell_no_tunnel(&exchange, &connection);
            };
            unanswered.answered();
            let stream = TunnelIo::new(receiving, sending);
            return run_tunnel(stream, upstream, exchange, &connection).await;
        }
        response_head::set_length(head.status, response.headers_mut(), &content);
        let no_content = to_head || content.is_end_stream();
        let sending = match respond.send_response(response, no_content) {
            Ok(sending) => {
                unanswered.answered();
                sending
            }
            Err(error) => {
                tracing::debug!(%error, "a response can not be sent");
                return respond.send_reset(Reason::INTERNAL_ERROR);
            }
        };
        if no_content {
            return;
        }
        let edge = &connection.edge;
        let sent = sending::send(content, sending, &edge.settings, &connection.socket).await;
        if sent == Sent::Stalled {
            let event = ConnectionEvent::TimedOut { reason: WRITE_TIMEOUT };
            edge.events.on_event(&connection.info, event);
        }
    }
}

/// It stands upstream, but the client does not hear of it: its record waits for an end.
fn tell_no_tunnel(exchange: &Exchange, connection: &Connection) {
    let (end, duration) = (TunnelEnd::ClientError, Duration::ZERO);
    let outcome = &TunnelOutcome { end, sent: 0, received: 0, duration };
    let (exchange, info, events) = (Some(exchange), &connection.info, &connection.edge.events);
    events.on_event(info, ConnectionEvent::TunnelOpened { exchange });
    events.on_event(info, ConnectionEvent::TunnelClosed { exchange, outcome });
}

/// Relays. The stream is open, and its connection not idle, while the tunnel stands.
async fn run_tunnel(
    stream: TunnelIo,
    mut upstream: TunnelUpstream,
    exchange: Exchange,
    connection: &Connection,
) {
    exchange.set_ending(Ending::Tunnel);
    upstream.exchange = Some(exchange);
    let (info, edge) = (&connection.info, &connection.edge);
    let guard = connection.drain.register_stream(edge.exchanges.next_connection(), info);
    tunnel::run(stream, BytesMut::new(), upstream, info, edge, guard).await;
}
