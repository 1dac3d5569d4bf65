//! A request over HTTP/1.1: over a connection that is kept, or a new one, and a second time where
//! that is safe.

use std::future::poll_fn;

use http::header::EXPECT;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use proxy_core::{Attempt, Body, ErrorKind, Exchange, ProxyError, Retry};
use tokio::time::Instant;

use super::{Connected, Destination, note, take_exchange};
use crate::connection::{Begun, OriginConnection, OutgoingRequest, unsolicited};
use crate::dial::parent::wrong_credentials;
use crate::pool::Pool;
use crate::response_body::{ResponseBody, release};

const PROXY_AUTHENTICATION: StatusCode = StatusCode::PROXY_AUTHENTICATION_REQUIRED;

/// Why there is no response, and the request, where no connection could be made for it.
pub(super) struct Unsent {
    pub(super) error: ProxyError,
    pub(super) outgoing: Option<Outgoing>,
    /// It went wrong on a new connection.
    pub(super) fresh: bool,
}

impl Unsent {
    /// Only why.
    pub(super) fn error(self) -> ProxyError {
        self.error
    }
}

/// A request on its way, and its record.
pub(super) struct Outgoing {
    exchange: Option<Exchange>,
    on: On,
}

/// Why there is no connection, and the request, where nobody could be connected to.
struct NotConnected {
    error: ProxyError,
    request: Option<Box<OutgoingRequest>>,
}

/// Where the request is.
enum On {
    /// On a connection that was idle.
    Kept(Box<OriginConnection>),
    /// On none so far.
    None(Box<OutgoingRequest>),
}

impl Outgoing {
    /// Takes an idle connection, where there is one, and writes the head into its buffer: what is
    /// left to carry about is small. The head of the request is told to `keep`, where it is to be.
    pub(super) fn new(
        mut request: Request<Body>,
        pool: &Pool,
        keep: Option<impl FnOnce(Parts)>,
    ) -> Result<Self, ProxyError> {
        let exchange = match keep {
            Some(_) => Exchange::of(&request).cloned(),
            None => take_exchange(&mut request),
        };
        let facts = exchange.as_ref().and_then(Exchange::facts);
        // Whoever holds its content has taken the field out.
        let expects_continue = facts.is_some_and(|facts| facts.expects_continue)
            && request.headers().contains_key(EXPECT);
        let mut kept = pool.take();
        let buffer = kept.as_mut().map(|c| c.take_buffer()).unwrap_or_default();
        let outgoing = OutgoingRequest::new(&mut request, buffer, expects_continue)?;
        if let Some(keep) = keep {
            keep(request.into_parts().0);
        }
        let on = match kept {
            Some(mut connection) => {
                connection.begin(outgoing);
                On::Kept(connection)
            }
            None => On::None(Box::new(outgoing)),
        };
        Ok(Self { exchange, on })
    }
}

impl Outgoing {
    /// The same over a connection of another pool, where there is one.
    pub(super) fn again(self, pool: &Pool) -> Self {
        let Self { exchange, on } = self;
        let on = match on {
            On::None(request) => match pool.take() {
                Some(mut connection) => {
                    connection.begin(*request);
                    On::Kept(connection)
                }
                None => On::None(request),
            },
            on @ On::Kept(_) => on,
        };
        Self { exchange, on }
    }

    /// On whose behalf, and the content, where nothing of it was taken.
    pub(super) fn into_content(self) -> (Option<Exchange>, Option<Body>) {
        let content = match self.on {
            On::None(request) => request.into_content(),
            On::Kept(_) => None,
        };
        (self.exchange, content)
    }
}

impl Destination<'_> {
    /// Sends the request. A kept-alive connection that turns out to be dead costs one retry on a
    /// fresh one, where nothing was sent or the request is idempotent.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<Response<Body>, Unsent> {
        let Outgoing { exchange: own, mut on } = outgoing;
        let exchange = own.as_ref();
        loop {
            let (mut connection, reused) = match on {
                On::Kept(connection) => {
                    if let Some(exchange) = exchange {
                        let address = connection.address;
                        let attempt = Attempt { address, reused: true, ..self.attempt() };
                        exchange.with_attempts(|attempts| attempts.push(attempt));
                        // What is behind a parent has an address that nobody here knows.
                        if let Some(address) = address.filter(|_| !self.way.is_parent()) {
                            let target = self.target_for(Some(exchange));
                            self.dialer.report_kept(&target, address);
                        }
                    }
                    (connection, true)
                }
                // Boxed: most requests find a connection, and none should carry the size of a dial.
                On::None(request) => match Box::pin(self.connect(exchange, request)).await {
                    Ok(connection) => (connection, false),
                    Err(NotConnected { error, request }) => {
                        let outgoing = request.map(|request| {
                            let on = On::None(request);
                            Outgoing { exchange: own, on }
                        });
                        return Err(Unsent { error, outgoing, fresh: true });
                    }
                },
            };
            let started = Instant::now();
            let sink = exchange.and_then(Exchange::interim).map(|sink| &**sink);
            let patience = self.timeouts.first_byte;
            let head = poll_fn(|cx| connection.poll_response(cx, sink, patience)).await;
            let status = head.as_ref().ok().map(Response::status);
            let outcome = match head {
                // About us and the parent: a client that answered it would tell its own secrets.
                Ok(head) if self.way.is_parent() && head.status() == PROXY_AUTHENTICATION => {
                    Err((wrong_credentials(), None))
                }
                Ok(head) => self.respond(head, connection),
                Err(error) => Err((error, Some(connection))),
            };
            note(exchange, |attempt| {
                attempt.first_byte = Some(started.elapsed());
                attempt.status = status;
                attempt.error = outcome.as_ref().err().map(|(error, _)| error.kind());
            });
            let (error, failed) = match outcome {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let again = failed
                .filter(|_| reused)
                .and_then(|mut connection| connection.take_request(error.retry_safety()));
            match again {
                Some(request) => on = On::None(Box::new(request)),
                None => return Err(Unsent { error, outgoing: None, fresh: !reused }),
            }
        }
    }

    /// A new connection with the request on it.
    async fn connect(
        &self,
        exchange: Option<&Exchange>,
        request: Box<OutgoingRequest>,
    ) -> Result<Box<OriginConnection>, NotConnected> {
        if let Some(exchange) = exchange {
            exchange.with_attempts(|attempts| attempts.push(self.attempt()));
        }
        match self.open(exchange).await {
            Ok(mut connection) => {
                connection.begin(*request);
                Ok(connection)
            }
            Err((error, is_tried)) => {
                note(exchange, |attempt| attempt.error = Some(error.kind()));
                Err(NotConnected { error, request: is_tried.then_some(request) })
            }
        }
    }

    /// A connection, or why there is none, and whether that is for want of somebody to connect to.
    async fn open(
        &self,
        exchange: Option<&Exchange>,
    ) -> Result<Box<OriginConnection>, (ProxyError, bool)> {
        let Some(place) = self.pool.place() else {
            let error = ProxyError::new(ErrorKind::ConnectionLimitReached);
            return Err((error.retry(Retry::NothingSent), false));
        };
        let connected = self.stream(exchange, false).await.map_err(|error| (error, true))?;
        let Connected { stream, address, beyond, around } = connected;
        let mut connection = OriginConnection::new(stream, address, self.limits, Some(place));
        connection.hold(beyond);
        if around {
            connection.keep_for_one();
        }
        if connection.speaks_unasked() {
            return Err((unsolicited(), false));
        }
        Ok(connection)
    }

    /// The response. Content that came along with the head is looked at before the head goes on:
    /// where it is broken already the client gets an error instead of half an answer, and where
    /// it is whole the connection is free for others at once.
    fn respond(
        &self,
        mut head: Response<()>,
        mut connection: Box<OriginConnection>,
    ) -> Result<Response<Body>, (ProxyError, Option<Box<OriginConnection>>)> {
        let read_idle = self.timeouts.read_idle;
        if connection.is_sending() {
            head.extensions_mut().insert(connection.lasts());
        }
        let body = match connection.begun() {
            Ok(Begun::Whole(content)) => {
                release(connection, self.pool, read_idle);
                Body::full(content)
            }
            Ok(Begun::Open(length, first)) => Body::new(ResponseBody::new(
                connection,
                length,
                first,
                self.pool.clone(),
                read_idle,
            )),
            Err(error) => return Err((error, None)),
        };
        Ok(head.map(|()| body))
    }
}
