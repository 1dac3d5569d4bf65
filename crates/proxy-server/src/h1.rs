//! The HTTP/1.1 edge: [`serve`] answers one connection with any service.
//!
//! hyper parses and writes messages; `ClientIo` stands between it and the socket and owns what a
//! hyper service can not see: strict framing, head and content deadlines, the client's leaving,
//! interim responses. An idle connection is taken apart and parked as a bare socket. All of it
//! is behind one function, so the codec can change.

mod client_io;
mod farewell;
mod link;
mod service;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as HttpBody;
use hyper::server::conn::http1;
use proxy_core::{Body, BoxError, ConnectionEvent, ConnectionInfo, HeadLimits};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};
use tower_service::Service;

use crate::drain::{DrainGuard, DrainPhase};
use crate::edge::Edge;
use crate::transport::Transport;
use crate::tunnel;
use client_io::{ClientIo, End, Finished, WRITE_TIMEOUT};
use link::Link;
use service::EdgeService;

/// Answers the requests of one connection until it ends. `read_ahead`: bytes already read.
pub(crate) async fn serve<T, S, B>(
    mut io: T,
    mut read_ahead: BytesMut,
    info: Arc<ConnectionInfo>,
    mut service: S,
    edge: Arc<Edge>,
    mut guard: DrainGuard,
) where
    T: Transport,
    S: Service<Request<Body>, Response = Response<B>> + Send + Unpin + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let builder = builder(&edge.settings.head);
    let mut fresh = true;
    loop {
        let link = Arc::new(Link::default());
        let client = ClientIo::new(io, read_ahead, Arc::clone(&link), Arc::clone(&edge), fresh);
        let answering =
            EdgeService::new(service, Arc::clone(&link), Arc::clone(&info), Arc::clone(&edge));
        // Boxed: a parked connection must not carry the size of a talking one.
        let mut connection = Box::new(builder.serve_connection(client, answering));
        let mut told = false;
        poll_fn(|cx| {
            let phase = guard.poll_phase(cx);
            if phase != DrainPhase::Serving {
                link.set_last();
            }
            match phase {
                DrainPhase::Serving | DrainPhase::LameDuck => {}
                DrainPhase::Draining if told || !link.may_shut_down() => {}
                DrainPhase::Draining => {
                    told = true;
                    Pin::new(&mut *connection).graceful_shutdown();
                }
                DrainPhase::Ending => return Poll::Ready(()),
            }
            // How it failed, if it did, is known better to ClientIo and to the exchange.
            if Pin::new(&mut *connection).poll(cx).is_ready() || link.wants_parking() {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
        let parts = connection.into_parts();
        // Its buffer is empty by now, but not small.
        drop(parts.read_buf);
        service = parts.service.into_inner();
        let Finished { io: client, buffer, unread, end } = parts.io.finish();
        match end {
            End::Tunnel(upstream) => {
                client.become_tunnel();
                return tunnel::run(client, buffer, *upstream, &info, &edge, guard).await;
            }
            End::Refused(refused) => {
                let event =
                    ConnectionEvent::HeadRefused { status: refused.status, reason: refused.reason };
                edge.events.on_event(&info, event);
                let page = farewell::page(&refused, &edge.proxy_name);
                return farewell::send(client, &page, edge.settings.timeouts.write).await;
            }
            End::TimedOut(reason) => {
                edge.events.on_event(&info, ConnectionEvent::TimedOut { reason });
                if reason == WRITE_TIMEOUT {
                    client.abort();
                }
                return farewell::close(client, unread).await;
            }
            End::Closed => {
                if link.wants_abort() {
                    client.abort();
                }
                return farewell::close(client, unread).await;
            }
            End::Parked => {
                // Nothing of the conversation is kept while it sleeps.
                drop((link, buffer));
                // Told to drain in the moment it went idle: nothing is in flight.
                match parked(client, edge.settings.timeouts.keep_alive, &mut guard).await {
                    Some((back, bytes)) => (io, read_ahead) = (back, bytes),
                    None => return,
                }
                fresh = false;
            }
        }
    }
}

/// hyper's side. `ClientIo` has judged a head before hyper reads it: hyper's own limits, which it
/// answers without a page or a log line, are never the narrower ones.
fn builder(limits: &HeadLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).pipeline_flush(false);
    // Its table of fields lies on the stack up to this many.
    if limits.fields > 100 {
        builder.max_headers(limits.fields);
    }
    let head = limits.line.saturating_add(limits.fields_size);
    if head > 256 * 1024 {
        builder.max_buf_size(head.saturating_mul(2));
    }
    builder
}

/// Waits as a bare socket for the next request; `None` when there will be none.
async fn parked<T>(
    mut io: T,
    keep_alive: std::time::Duration,
    guard: &mut DrainGuard,
) -> Option<(T, BytesMut)>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut timeout = pin!(sleep_until(Instant::now() + keep_alive));
    let bytes = poll_fn(|cx| {
        if guard.poll_phase(cx) >= DrainPhase::Draining || timeout.as_mut().poll(cx).is_ready() {
            return Poll::Ready(BytesMut::new());
        }
        // On the stack of this poll, so that waiting costs no buffer.
        let mut space = [0; 2048];
        let mut buf = ReadBuf::new(&mut space);
        match ready!(Pin::new(&mut io).poll_read(cx, &mut buf)) {
            Ok(()) => Poll::Ready(BytesMut::from(buf.filled())),
            Err(_) => Poll::Ready(BytesMut::new()),
        }
    })
    .await;
    (!bytes.is_empty()).then_some((io, bytes))
}
