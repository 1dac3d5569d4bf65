//! One attempt: a request on one connection, up to the response's head.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use proxy_core::{Attempt, Body, ErrorKind, Exchange, ProxyError};
use tokio::time::Instant;

use super::{Destination, failure, record, within};
use crate::connection::OriginConnection;
use crate::request_body::RequestBody;
use crate::response_body::{Begun, ResponseBody};

/// An attempt that failed.
pub(super) struct Failed {
    pub(super) error: ProxyError,
    /// The request, where not one byte of it was sent.
    pub(super) unsent: Option<Box<Request<Body>>>,
}

impl Destination<'_> {
    /// Sends the request and waits for the head of the final response. The attempt is recorded
    /// whatever comes of it.
    pub(super) async fn exchange_on(
        &self,
        mut connection: Box<OriginConnection>,
        request: Request<Body>,
        expects_continue: bool,
        exchange: Option<&Exchange>,
        mut attempt: Attempt,
    ) -> Result<Response<Body>, Failed> {
        let started = Instant::now();
        let link = Arc::clone(&connection.link);
        let interim = exchange.and_then(Exchange::interim).cloned();
        link.begin(*request.method() == Method::HEAD, !request.body().is_empty(), interim);
        let request =
            request.map(|body| RequestBody::new(body, Arc::clone(&link), expects_continue));
        let outcome = self.head(&mut connection, request).await;
        attempt.first_byte = Some(started.elapsed());
        match outcome {
            Ok(response) => {
                attempt.status = Some(response.status());
                let response = self.respond(response, connection).await;
                attempt.error = response.as_ref().err().map(ProxyError::kind);
                record(exchange, attempt);
                response.map_err(|error| Failed { error, unsent: None })
            }
            Err(failed) => {
                attempt.error = Some(failed.error.kind());
                record(exchange, attempt);
                Err(failed)
            }
        }
    }

    async fn head(
        &self,
        connection: &mut OriginConnection,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Failed> {
        let link = Arc::clone(&connection.link);
        let mut response = pin!(connection.send(request));
        connection.deadline.clear();
        let mut written = 0;
        poll_fn(|cx| {
            let driven = connection.drive(cx);
            if let Poll::Ready(outcome) = response.as_mut().poll(cx) {
                return Poll::Ready(outcome.map_err(|mut unsent| {
                    let request = unsent.take_message().filter(|_| !link.has_written());
                    let error = match &driven {
                        Poll::Ready(Err(error))
                            if error.is_user() || ProxyError::find(error).is_some() =>
                        {
                            error
                        }
                        _ => unsent.error(),
                    };
                    Failed {
                        error: failure(&link, error, ErrorKind::HttpResponseIncomplete),
                        unsent: request.map(|r| Box::new(r.map(RequestBody::into_inner))),
                    }
                }));
            }
            // The clock runs while the upstream is waited for, and starts anew when it takes
            // something; a client that is slow with its content is not the upstream's fault.
            if !link.waits_for_upstream() {
                connection.deadline.clear();
            } else if !connection.deadline.is_set() || link.written() != written {
                written = link.written();
                connection.deadline.set(within(self.timeouts.first_byte));
            }
            connection.deadline.poll(cx).map(|()| {
                let error = ProxyError::new(ErrorKind::HttpResponseTimeout).detail("first_byte");
                Err(Failed { error, unsent: None })
            })
        })
        .await
    }

    /// The response. Content that came along with the head is looked at before the head goes on:
    /// where it is broken already the client gets an error instead of half an answer, and where
    /// it is whole the connection is free for others at once.
    async fn respond(
        &self,
        response: Response<Incoming>,
        connection: Box<OriginConnection>,
    ) -> Result<Response<Body>, ProxyError> {
        let (parts, incoming) = response.into_parts();
        if incoming.is_end_stream() {
            self.pool.put(connection);
            return Ok(Response::from_parts(parts, Body::empty()));
        }
        let pool = self.pool.clone();
        let mut body = ResponseBody::new(incoming, connection, pool, self.timeouts.read_idle);
        let begun = poll_fn(|cx| Poll::Ready(body.poll_begin(cx))).await?;
        let body = match begun {
            Begun::Whole(content) => Body::full(content),
            Begun::Open => Body::new(body),
        };
        Ok(Response::from_parts(parts, body))
    }
}
