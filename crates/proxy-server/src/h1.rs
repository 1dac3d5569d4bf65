//! The HTTP/1.1 edge: [`serve`] answers one connection with any service.
//!
//! A [`Wire`](wire::Wire) reads from the socket what proxy-core's framer has judged, a
//! [`Conversation`](connection::Conversation) calls the service and writes its answers. An idle
//! connection is taken apart and parked as a bare socket. All of it is behind one function, so
//! the codec can change.

mod answer;
mod connection;
mod date;
mod end;
mod farewell;
mod heads;
mod interim;
mod request_body;
mod response_head;
mod response_writer;
mod wire;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{Request, Response, Version};
use http_body::Body as HttpBody;
use proxy_core::deadline::from_now;
use proxy_core::{Body, BoxError, ConnectionEvent, ConnectionInfo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep_until;
use tower_service::Service;

use crate::closing;
use crate::drain::{DrainGuard, DrainPhase};
use crate::edge::Edge;
use crate::transport::Transport;
use crate::tunnel;
use connection::Conversation;
use end::{End, Finished, WRITE_TIMEOUT};

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
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Unpin + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut fresh = true;
    info.activity.set_protocol(Version::HTTP_11);
    loop {
        let conversation = Conversation::new(io, read_ahead, fresh, &info, &edge, &mut guard);
        // Boxed: a parked connection must not carry the size of a talking one.
        let finished = Box::pin(conversation.run(&mut service)).await;
        let Some(Finished { io: client, buffer, unread, end }) = finished else { return };
        match end {
            End::Tunnel(upstream) => {
                client.become_tunnel();
                // A tunnel may stand for days: what answered its request need not.
                drop(service);
                return tunnel::run(client, buffer, *upstream, &info, &edge, guard).await;
            }
            End::Refused(refused) => {
                let event =
                    ConnectionEvent::HeadRefused { status: refused.status, reason: refused.reason };
                edge.events.on_event(&info, event);
                let page = farewell::page(&refused, &edge.proxy_name);
                return closing::send(client, &page, edge.settings.timeouts.write).await;
            }
            End::TimedOut(reason) => {
                edge.events.on_event(&info, ConnectionEvent::TimedOut { reason });
                if reason == WRITE_TIMEOUT {
                    return client.abort();
                }
                return closing::close(client, unread).await;
            }
            // An orderly close would look like the end of the answer.
            End::Broken => return client.abort(),
            End::Closed => return closing::close(client, unread).await,
            End::Parked => {
                // Nothing of the conversation is kept while it sleeps, nor what a service holds for
                // a connection: it begins anew with each clone.
                drop(buffer);
                service = service.clone();
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

/// What a client is told that speaks HTTP in clear text where TLS is spoken.
pub(crate) fn clear_text_page(proxy_name: &str) -> Bytes {
    let (status, reason) = crate::tls::CLEAR_TEXT;
    farewell::page(&end::Refused { status, reason }, proxy_name)
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
    let mut timeout = pin!(sleep_until(from_now(keep_alive)));
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
