//! One attempt: a request on one connection, up to the response's head.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{Method, Request, Response, StatusCode};
use proxy_core::deadline::Deadline;
use proxy_core::{Body, ErrorKind, Exchange, InterimSink, ProxyError, Retry};
use tokio::time::Instant;

use super::super::Destination;
use super::connection::{Busy, Connection};
use super::content::Content;
use super::head;
use super::outgoing::Outgoing;
use super::upload::Upload;
use crate::connection::announced;
use crate::dispatch::Lasting;

/// Interim responses that an origin may send for one request.
const MAX_INTERIM: usize = 100;

/// Sends the request and waits for the head of the final response. A request of whose content
/// not too much was taken is put back.
pub(super) async fn exchange(
    connection: &Connection,
    destination: &Destination<'_>,
    outgoing: &mut Outgoing,
) -> Result<Response<Body>, ProxyError> {
    let started = Instant::now();
    let Some(request) = &outgoing.request else {
        return Err(ErrorKind::ProxyInternalError.into());
    };
    let (head, empty) = (head::of(request), request.body().is_empty());
    let mut sender = connection.sender.clone();
    let busy = connection.busy();
    ready(&mut sender, destination).await?;
    let (response, stream) =
        sender.send_request(head, empty).map_err(|e| terminated(e).retry(Retry::NothingSent))?;
    let id = stream.stream_id().as_u32();
    let Some((parts, body)) = outgoing.request.take().map(Request::into_parts) else {
        return Err(ErrorKind::ProxyInternalError.into());
    };
    let to_head = parts.method == Method::HEAD;
    let announced = announced(&parts.headers);
    let mut upload = Upload::new(body, stream, announced, outgoing.expects_continue);
    let relay = outgoing.exchange.as_ref().and_then(Exchange::interim).cloned();
    let waiting = Waiting { response, deadline: Deadline::default(), moved: 0, interim: 0, relay };
    let result = waiting.head(destination, &mut upload).await;
    outgoing.note(|attempt| attempt.first_byte = Some(started.elapsed()));
    match result {
        Ok(response) => respond(response, to_head, destination, upload, busy),
        Err(Failed::Own(error)) => Err(error),
        Err(Failed::Stream(error)) => {
            let refused = error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM);
            let wire = &connection.wire;
            let retry = if refused || wire.is_unprocessed(id) || !wire.has_sent(id) {
                Retry::NothingSent
            } else if error.is_io() || error.is_go_away() {
                Retry::IfIdempotent
            } else {
                Retry::Never
            };
            outgoing.request = upload.restore().map(|body| Request::from_parts(parts, body));
            Err(terminated(error).retry(retry))
        }
    }
}

/// Waits until the origin permits a further stream.
async fn ready(
    sender: &mut SendRequest<Bytes>,
    destination: &Destination<'_>,
) -> Result<(), ProxyError> {
    let ready = poll_fn(|cx| sender.poll_ready(cx));
    tokio::time::timeout(destination.timeouts.first_byte, ready)
        .await
        .map_err(|_| ProxyError::new(ErrorKind::HttpResponseTimeout).detail("first_byte"))?
        .map_err(|e| terminated(e).retry(Retry::NothingSent))
}

/// What an error of h2 stands for, before a response's head.
fn terminated(error: h2::Error) -> ProxyError {
    let kind = match error.is_library() {
        true => ErrorKind::HttpProtocolError,
        false => ErrorKind::ConnectionTerminated,
    };
    ProxyError::new(kind).source(error)
}

enum Failed {
    /// The stream, or its connection.
    Stream(h2::Error),
    /// Whatever else; sending it again would not help.
    Own(ProxyError),
}

struct Waiting {
    response: ResponseFuture,
    deadline: Deadline,
    moved: u64,
    interim: usize,
    relay: Option<Arc<dyn InterimSink>>,
}

impl Waiting {
    async fn head(
        mut self,
        destination: &Destination<'_>,
        upload: &mut Upload,
    ) -> Result<Response<RecvStream>, Failed> {
        poll_fn(|cx| {
            if let Poll::Ready(Err(failed)) = self.poll_interim(cx, upload) {
                return Poll::Ready(Err(failed));
            }
            if let Poll::Ready(response) = Pin::new(&mut self.response).poll(cx) {
                return Poll::Ready(response.map_err(Failed::Stream));
            }
            if let Poll::Ready(Err(error)) = upload.poll(cx) {
                return Poll::Ready(Err(Failed::Own(error)));
            }
            // The clock runs while the upstream is waited for, and starts anew when it takes
            // something; a client that is slow with its content is not the upstream's fault.
            if !upload.waits_for_upstream() {
                self.deadline.clear();
            } else if !self.deadline.is_set() || upload.moved() != self.moved {
                self.moved = upload.moved();
                self.deadline.set_in(destination.timeouts.first_byte);
            }
            self.deadline.poll(cx).map(|()| {
                let error = ProxyError::new(ErrorKind::HttpResponseTimeout).detail("first_byte");
                Err(Failed::Own(error))
            })
        })
        .await
    }

    /// Relays interim responses.
    fn poll_interim(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut Upload,
    ) -> Poll<Result<(), Failed>> {
        while let Poll::Ready(Some(interim)) = self.response.poll_informational(cx) {
            let interim = match interim {
                Ok(interim) => interim,
                Err(error) => return Poll::Ready(Err(Failed::Stream(error))),
            };
            self.interim += 1;
            let kind = match interim.status() {
                StatusCode::SWITCHING_PROTOCOLS => Some(ErrorKind::HttpUpgradeFailed),
                _ if self.interim > MAX_INTERIM => Some(ErrorKind::HttpProtocolError),
                _ => None,
            };
            if let Some(kind) = kind {
                return Poll::Ready(Err(Failed::Own(kind.into())));
            }
            if interim.status() == StatusCode::CONTINUE {
                upload.go();
            } else if let Some(relay) = &self.relay {
                relay.send(interim.status(), interim.headers());
            }
        }
        Poll::Pending
    }
}

fn respond(
    response: Response<RecvStream>,
    to_head: bool,
    destination: &Destination<'_>,
    upload: Upload,
    busy: Busy,
) -> Result<Response<Body>, ProxyError> {
    head::judge(&response, &destination.limits)?;
    let idle = destination.timeouts.read_idle;
    let (mut parts, receiving) = response.into_parts();
    // A response is allowed before the request is whole.
    let upload = (!upload.is_done()).then(|| {
        // The place at the endpoint is held by both, however soon one of them is over.
        let lasting = Lasting::default();
        let lasts = Arc::new(lasting.guard());
        parts.extensions.insert(lasting);
        let holds = (busy.clone(), Arc::clone(&lasts), destination.pool.outliving());
        (tokio::spawn(upload.finish(idle, holds)).abort_handle(), lasts)
    });
    let body = if receiving.is_end_stream() {
        Body::empty()
    } else {
        let length = if to_head { None } else { head::length(&parts.headers) };
        Body::new(Content::new(receiving, length, upload, idle, busy))
    };
    Ok(Response::from_parts(parts, body))
}
