//! One attempt: a request on one connection, up to the response's head.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::{Method, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use proxy_core::{Body, ErrorKind, Exchange, ProxyError};
use tokio::time::Instant;

use super::{Destination, Outgoing, failure, within};
use crate::connection::OriginConnection;
use crate::request_body::RequestBody;
use crate::response_body::{Begun, ResponseBody, release};

impl Destination<'_> {
    /// Sends the request and waits for the head of the final response. A request of which not one
    /// byte was sent is put back.
    pub(super) async fn exchange_on(
        &self,
        mut connection: Box<OriginConnection>,
        outgoing: &mut Outgoing,
    ) -> Result<Response<Body>, ProxyError> {
        let started = Instant::now();
        let outcome = match self.head(&mut connection, outgoing).await {
            Ok(response) => {
                let status = response.status();
                outgoing.note(|attempt| attempt.status = Some(status));
                self.respond(response, connection)
            }
            Err(error) => Err(error),
        };
        outgoing.note(|attempt| {
            attempt.first_byte = Some(started.elapsed());
            attempt.error = outcome.as_ref().err().map(ProxyError::kind);
        });
        outcome
    }

    async fn head(
        &self,
        connection: &mut OriginConnection,
        outgoing: &mut Outgoing,
    ) -> Result<Response<Incoming>, ProxyError> {
        let link = Arc::clone(&connection.link);
        let Some(request) = outgoing.request.take() else {
            return Err(ErrorKind::ProxyInternalError.into());
        };
        let interim = outgoing.exchange.as_ref().and_then(Exchange::interim).cloned();
        link.begin(*request.method() == Method::HEAD, !request.body().is_empty(), interim);
        let expects = outgoing.expects_continue;
        let mut response = pin!(connection.send(request.map(|body| RequestBody::new(
            body,
            Arc::clone(&link),
            expects
        ))));
        connection.deadline.clear();
        let mut written = 0;
        poll_fn(|cx| {
            let driven = connection.drive(cx);
            // Looked at only when there is something to see: a waker left with hyper would wake
            // this very task, which is awake, once for each response.
            if (driven.is_ready() || link.has_final_head())
                && let Poll::Ready(outcome) = response.as_mut().poll(cx)
            {
                return Poll::Ready(outcome.map_err(|mut unsent| {
                    let request = unsent.take_message().filter(|_| !link.has_written());
                    outgoing.request = request.map(|r| r.map(RequestBody::into_inner));
                    let error = match &driven {
                        Poll::Ready(Err(error))
                            if error.is_user() || ProxyError::find(error).is_some() =>
                        {
                            error
                        }
                        _ => unsent.error(),
                    };
                    failure(&link, error, ErrorKind::HttpResponseIncomplete)
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
            connection
                .deadline
                .poll(cx)
                .map(|()| Err(ProxyError::new(ErrorKind::HttpResponseTimeout).detail("first_byte")))
        })
        .await
    }

    /// The response. Content that came along with the head is looked at before the head goes on:
    /// where it is broken already the client gets an error instead of half an answer, and where
    /// it is whole the connection is free for others at once.
    fn respond(
        &self,
        response: Response<Incoming>,
        connection: Box<OriginConnection>,
    ) -> Result<Response<Body>, ProxyError> {
        if response.body().is_end_stream() {
            release(connection, self.pool, self.timeouts.read_idle);
            return Ok(response.map(|_| Body::empty()));
        }
        let (parts, incoming) = response.into_parts();
        let pool = self.pool.clone();
        let mut body = ResponseBody::new(incoming, connection, pool, self.timeouts.read_idle);
        let body = match body.begin()? {
            Begun::Whole(content) => Body::full(content),
            Begun::Open => Body::new(body),
        };
        Ok(Response::from_parts(parts, body))
    }
}
