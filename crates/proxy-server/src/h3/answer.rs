//! One stream: from the request's head to the last byte of the answer.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::Full;
use proxy_core::error_pages::Page;
use proxy_core::{
    Body, BoxError, ConnectionEvent, Ending, Exchange, Fault, InterimSink, Refusal, TunnelEnd,
    TunnelOutcome,
};
use tokio::time::timeout;
use tower_service::Service;

use super::Connection;
use super::code::Code;
use super::content::{Content, Malformed};
use super::frames::FrameReader;
use super::priority;
use super::qpack::{self, Unreadable};
use super::request_stream::{Broken, Event, RequestStream};
use super::sections::{self, Refused};
use super::sender::{Sender, Unsent};
use super::sending;
use super::tunnel_io::TunnelIo;
use crate::multiplex::interim::Interim;
use crate::multiplex::streams::{Open, Unanswered};
use crate::multiplex::{head, response_head};
use crate::tunnel::{self, TunnelUpstream};

/// A stream that the client opened.
pub(super) struct Stream {
    receiving: RequestStream,
    answering: Answering,
}

/// The answer's way back.
struct Answering {
    sender: Sender,
    connection: Arc<Connection>,
    malformed: Arc<Malformed>,
    /// The answer has no content, whatever its fields say.
    to_head: bool,
    unanswered: Unanswered,
    _open: Open,
}

/// Why a stream brings no request.
enum NoRequest {
    Refused(StatusCode, &'static str),
    Malformed(&'static str),
    Incomplete,
    Gone,
}

impl From<Refused> for NoRequest {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Malformed(why) => Self::Malformed(why),
            Refused::Fault(fault) => Self::from(fault),
        }
    }
}

impl From<Fault> for NoRequest {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault.request_status(), fault.token())
    }
}

/// A request's head, and what came together with it.
struct Begun {
    head: Parts,
    length: Option<u64>,
    first: Option<Event>,
}

impl Stream {
    pub(super) fn new(
        sending: quinn::SendStream,
        receiving: quinn::RecvStream,
        connection: &Arc<Connection>,
    ) -> Self {
        let receiving = RequestStream::new(FrameReader::new(receiving), Arc::clone(connection));
        let answering = Answering {
            sender: Sender::new(sending, Arc::clone(connection)),
            connection: Arc::clone(connection),
            malformed: Arc::default(),
            to_head: false,
            unanswered: Unanswered::new(&connection.streams),
            _open: Open::begin(&connection.streams),
        };
        Self { receiving, answering }
    }

    /// Reads the request, calls the service and sends what it answers.
    pub(super) async fn answer<S, B>(self, mut service: S)
    where
        S: Service<Request<Body>, Response = Response<B>>,
        S::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let Self { mut receiving, mut answering } = self;
        let connection = Arc::clone(&answering.connection);
        let within = connection.edge.settings.timeouts.header;
        let begun = match timeout(within, begin(&mut receiving, &connection)).await {
            Ok(begun) => begun,
            Err(_) => Err(NoRequest::Refused(StatusCode::REQUEST_TIMEOUT, "header_timeout")),
        };
        let Begun { mut head, length, first } = match begun {
            Ok(begun) => begun,
            Err(NoRequest::Gone) => return answering.sender.reset(Code::RequestCancelled),
            Err(NoRequest::Incomplete) => {
                return answering.sender.reset(Code::RequestIncomplete);
            }
            Err(NoRequest::Malformed(why)) => {
                answering.tell_refused(StatusCode::BAD_REQUEST, why);
                receiving.stop(Code::MessageError);
                return answering.sender.reset(Code::MessageError);
            }
            Err(NoRequest::Refused(status, why)) => {
                // Boxed: most heads are sound, and no stream should carry the size of a page.
                return Box::pin(answering.refuse(status, why, receiving)).await;
            }
        };
        answering.to_head = head.method == Method::HEAD;
        answering.sender.set_priority(priority::of(&head.headers));
        let interim = Arc::new(Interim::default());
        let sink: Arc<dyn InterimSink> = Arc::clone(&interim) as _;
        let exchange = connection.edge.exchanges.begin(&connection.info, Some(sink));
        let _under_way = connection.info.activity.begin_request();
        head.extensions.insert(exchange.clone());
        let (body, tunnel) = if head.method == Method::CONNECT {
            receiving.become_tunnel();
            (Body::empty(), Some((receiving, exchange)))
        } else if matches!(first, Some(Event::End)) {
            (Body::empty(), None)
        } else {
            let malformed = Arc::clone(&answering.malformed);
            let fields = &head.headers;
            let content =
                Content::new(receiving, first, length, malformed, &connection, fields, &interim);
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
            Waited::Answer(response) => answering.send(response, tunnel).await,
            Waited::Failed(error) => {
                tracing::debug!(%error, "a service failed to answer");
                answering.reset();
            }
            Waited::Malformed => answering.sender.reset(Code::MessageError),
            Waited::Left => answering.sender.reset(Code::RequestCancelled),
        }
    }
}

/// Reads and judges the head, and looks at what came with it.
async fn begin(receiving: &mut RequestStream, connection: &Connection) -> Result<Begun, NoRequest> {
    let block = match poll_fn(|cx| receiving.poll_event(cx)).await {
        Ok(Event::Section(block)) => block,
        // Nothing else comes first.
        Ok(_) | Err(Broken::Gone) => return Err(NoRequest::Gone),
        Err(Broken::Incomplete) => return Err(NoRequest::Incomplete),
        Err(Broken::TooLarge) => return Err(Fault::FieldsTooLarge.into()),
    };
    let section = match qpack::decode(&block, connection.section_limit) {
        Ok(section) => section,
        Err(Unreadable::TooLarge) => return Err(Fault::FieldsTooLarge.into()),
        Err(Unreadable::Broken) => {
            connection.fail(Code::QpackDecompressionFailed, "qpack");
            return Err(NoRequest::Gone);
        }
    };
    let limits = &connection.edge.settings.head;
    // A URI holds less than a line may be long.
    if section.iter().any(|f| &f.name[..] == b":path" && f.value.len() > limits.line) {
        return Err(Fault::LineTooLong.into());
    }
    let (mut head, length) = sections::request(section)?;
    head::judge(&mut head, limits)?;
    if head.method == Method::CONNECT {
        return Ok(Begun { head, length, first: None });
    }
    let mut first = None;
    if let Poll::Ready(event) = poll_fn(|cx| Poll::Ready(receiving.poll_event(cx))).await {
        match event {
            Ok(event) => first = Some(event),
            Err(Broken::TooLarge) => return Err(NoRequest::from(Fault::Trailers)),
            Err(Broken::Incomplete | Broken::Gone) => return Err(NoRequest::Gone),
        }
    }
    let contradicts = match (&first, length) {
        (Some(Event::End | Event::Section(_)), Some(1..)) => true,
        (Some(Event::Data(data)), Some(length)) => data.len() as u64 > length,
        _ => false,
    };
    match contradicts {
        true => Err(NoRequest::Malformed(Fault::ContentLength.token())),
        false => Ok(Begun { head, length, first }),
    }
}

/// What came of waiting for the service.
enum Waited<B> {
    Answer(Response<B>),
    Failed(BoxError),
    /// The rest of the request is malformed.
    Malformed,
    /// The client left, or takes nothing.
    Left,
}

enum Next<T> {
    Output(T),
    Interim(Response<()>),
    Malformed,
    Left,
}

impl Answering {
    /// The service's answer. Interim responses go out meanwhile.
    async fn wait_for<F, B, E>(&mut self, mut called: Pin<&mut F>, interim: &Interim) -> Waited<B>
    where
        F: Future<Output = Result<Response<B>, E>>,
        E: Into<BoxError>,
    {
        let mut output: Option<Result<Response<B>, BoxError>> = None;
        loop {
            let next = poll_fn(|cx| {
                if let Some(interim) = interim.next(cx.waker()) {
                    return Poll::Ready(Next::Interim(interim));
                }
                if let Some(output) = output.take() {
                    return Poll::Ready(Next::Output(output));
                }
                // A malformed request is not answered, whoever comes first.
                let called = called.as_mut().poll(cx);
                if self.malformed.poll(cx).is_ready() {
                    return Poll::Ready(Next::Malformed);
                }
                if let Poll::Ready(output) = called {
                    return Poll::Ready(Next::Output(output.map_err(Into::into)));
                }
                self.sender.poll_stopped(cx).map(|()| Next::Left)
            });
            match next.await {
                Next::Output(done) => {
                    if !interim.close() {
                        return match done {
                            Ok(response) => Waited::Answer(response),
                            Err(error) => Waited::Failed(error),
                        };
                    }
                    // What was queued before goes first.
                    output = Some(done);
                }
                Next::Interim(head) => {
                    let (head, ()) = head.into_parts();
                    match self.sender.head(head.status, &head.headers).await {
                        // Nothing of one that is too large was written.
                        Ok(()) | Err(Unsent::TooLarge) => {}
                        Err(Unsent::Gone) => return Waited::Left,
                        // It may be half written: nothing can follow.
                        Err(Unsent::Stalled) => {
                            self.connection.timed_out("write");
                            return Waited::Left;
                        }
                    }
                }
                Next::Malformed => return Waited::Malformed,
                Next::Left => return Waited::Left,
            }
        }
    }

    /// Breaks it off ourselves.
    fn reset(mut self) {
        self.unanswered.answered();
        self.sender.reset(Code::InternalError);
    }

    fn tell_refused(&self, status: StatusCode, reason: &'static str) {
        let event = ConnectionEvent::HeadRefused { status, reason };
        self.connection.edge.events.on_event(&self.connection.info, event);
    }

    /// The edge's own answer to a head that no layer shall see. What else the client sends is not
    /// read, but it is told so behind the answer only.
    async fn refuse(self, status: StatusCode, reason: &'static str, receiving: RequestStream) {
        self.tell_refused(status, reason);
        let refusal = Refusal::new(status, reason);
        let page = Page { refusal: &refusal, id: None, show_rule: false };
        let mut response = Response::new(Full::new(page.write(false)));
        *response.status_mut() = status;
        let proxy_name = Arc::clone(&self.connection.edge.proxy_name);
        page.set_fields(response.headers_mut(), false, &proxy_name);
        self.send(response, None).await;
        drop(receiving);
    }

    async fn send<B>(mut self, response: Response<B>, tunnel: Option<(RequestStream, Exchange)>)
    where
        B: HttpBody<Data = Bytes>,
    {
        let (mut head, content) = response.into_parts();
        response_head::prepare(&mut head);
        let upstream = head.extensions.remove::<TunnelUpstream>();
        if let (Some(upstream), Some((receiving, exchange)), true) =
            (upstream, tunnel, head.status.is_success())
        {
            head.headers.remove(CONTENT_LENGTH);
            if let Err(unsent) = self.sender.head(head.status, &head.headers).await {
                self.tell_no_tunnel(&exchange);
                return self.tell_unsent(unsent);
            }
            return self.run_tunnel(receiving, upstream, exchange).await;
        }
        response_head::set_length(head.status, &mut head.headers, &content);
        let no_content =
            self.to_head || content.is_end_stream() || response_head::has_no_content(head.status);
        if let Err(unsent) = self.sender.head(head.status, &head.headers).await {
            tracing::debug!(?unsent, "a response can not be sent");
            return self.tell_unsent(unsent);
        }
        let Self { mut sender, connection, malformed, unanswered, _open, .. } = self;
        unanswered.answered();
        let sent = match no_content {
            true => {
                sender.finish();
                Ok(())
            }
            false => {
                let length = head.headers.get(CONTENT_LENGTH);
                let length = length.and_then(|v| v.to_str().ok()?.parse().ok());
                sending::send(content, length, &mut sender, &malformed).await
            }
        };
        let stalled = match sent {
            Err(unsent) => unsent == Unsent::Stalled,
            Ok(()) => !sender.acknowledged().await,
        };
        if stalled {
            connection.timed_out("write");
        }
    }

    /// Relays. The stream is open, and its connection not idle, while the tunnel stands.
    async fn run_tunnel(
        self,
        receiving: RequestStream,
        mut upstream: TunnelUpstream,
        exchange: Exchange,
    ) {
        let Self { sender, connection, unanswered, _open, .. } = self;
        unanswered.answered();
        exchange.set_ending(Ending::Tunnel);
        upstream.exchange = Some(exchange);
        let (info, edge) = (&connection.info, &connection.edge);
        let guard = connection.drain.register_stream(edge.exchanges.next_connection(), info);
        let mut stream = TunnelIo::new(receiving, sender);
        tunnel::run(&mut stream, BytesMut::new(), upstream, info, edge, guard).await;
        if let Some(sender) = stream.into_sender() {
            sender.acknowledged().await;
        }
    }

    /// It stands upstream, but the client does not hear of it: its record waits for an end.
    fn tell_no_tunnel(&self, exchange: &Exchange) {
        let (end, duration) = (TunnelEnd::ClientError, Duration::ZERO);
        let outcome = &TunnelOutcome { end, sent: 0, received: 0, duration };
        let (exchange, info) = (Some(exchange), &self.connection.info);
        let events = &self.connection.edge.events;
        events.on_event(info, ConnectionEvent::TunnelOpened { exchange });
        events.on_event(info, ConnectionEvent::TunnelClosed { exchange, outcome });
    }

    fn tell_unsent(mut self, unsent: Unsent) {
        match unsent {
            Unsent::Gone => {}
            Unsent::Stalled => {
                self.sender.reset(Code::RequestCancelled);
                self.connection.timed_out("write");
            }
            Unsent::TooLarge => self.reset(),
        }
    }
}
