//! The HTTP/2 edge: [`serve`] answers the streams of one connection with any service, one clone a
//! stream.
//!
//! The `h2` crate frames and compresses; everything that decides is here. `ClientIo` stands
//! between it and the socket and owns the write timeout; its `FrameGate` judges what h2 does not. Each stream is a task: it judges the head
//! as the HTTP/1 edge does, calls the service, and sends no more than the client's windows take, so
//! that a client which opens none is noticed. docs/decisions/0010-http2-by-h2.md says why
//! hyper is not in between.

mod answer;
mod client_io;
mod content;
mod frame_gate;
mod liveness;
mod sending;
mod tunnel_io;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode, Version};
use http_body::Body as HttpBody;
use proxy_core::deadline::Deadline;
use proxy_core::{Body, BoxError, ConnectionEvent, ConnectionInfo};
use tower_service::Service;

use crate::drain::{Drain, DrainGuard, DrainPhase};
use crate::edge::Edge;
use crate::multiplex::streams::Streams;
use crate::prefixed::Prefixed;
use crate::settings::EdgeSettings;
use crate::transport::Transport;
use client_io::{ClientIo, Socket, WRITE_TIMEOUT};
use frame_gate::Fault;
use liveness::Liveness;

/// Request content that a client may send ahead, a stream and all streams together.
const WINDOW: u32 = 1024 * 1024;
/// Response content that one stream hands over before the socket takes it.
const SEND_BUFFER: usize = 128 * 1024;
/// Streams that we reset for their faults, before the connection goes.
const FAULTY_STREAMS: usize = 1024;

/// How long, and of how many streams, it is remembered that we broke them off.
const RESET_REMEMBERED: Duration = Duration::from_secs(30);
const RESETS_REMEMBERED: usize = 256;

/// What the streams of a connection share.
struct Connection {
    info: Arc<ConnectionInfo>,
    edge: Arc<Edge>,
    drain: Drain,
    streams: Arc<Streams>,
    socket: Arc<Socket>,
}

/// Answers the streams of one connection until it ends.
pub(crate) async fn serve<T, S, B>(
    io: T,
    read_ahead: BytesMut,
    info: Arc<ConnectionInfo>,
    service: S,
    edge: Arc<Edge>,
    drain: Drain,
    mut guard: DrainGuard,
) where
    T: Transport,
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let settings = edge.settings;
    info.activity.set_protocol(Version::HTTP_2);
    let socket = Arc::new(Socket::default());
    let shared = Arc::new(Connection {
        info: Arc::clone(&info),
        edge: Arc::clone(&edge),
        drain,
        streams: Arc::new(Streams::new(settings.h2_resets)),
        socket: Arc::clone(&socket),
    });
    let timed_out = |reason| edge.events.on_event(&info, ConnectionEvent::TimedOut { reason });
    let refused = || {
        let (status, reason) = (StatusCode::BAD_REQUEST, "http2");
        edge.events.on_event(&info, ConnectionEvent::HeadRefused { status, reason });
    };

    let io = ClientIo::new(Prefixed::new(io, read_ahead), Arc::clone(&socket), &settings);
    let mut handshake = pin!(builder(&settings).handshake::<_, Bytes>(io));
    let mut deadline = Deadline::default();
    deadline.set_in(settings.timeouts.first_byte.max(settings.timeouts.header));
    let shaken = poll_fn(|cx| {
        if guard.poll_phase(cx) == DrainPhase::Ending {
            return Poll::Ready(None);
        }
        if let Poll::Ready(connection) = handshake.as_mut().poll(cx) {
            return Poll::Ready(connection.ok());
        }
        deadline.poll(cx).map(|()| {
            timed_out("first_byte");
            None
        })
    })
    .await;
    let Some(mut connection) = shaken else { return };
    let mut liveness = Liveness::new(connection.ping_pong());

    let (mut told, mut calmed) = (false, false);
    let mut idle = Deadline::default();
    poll_fn(|cx| {
        match guard.poll_phase(cx) {
            DrainPhase::Draining if !told => {
                told = true;
                connection.graceful_shutdown();
            }
            DrainPhase::Ending => return Poll::Ready(()),
            _ => {}
        }
        loop {
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let stream = answer::Stream::new(request, respond, Arc::clone(&shared));
                    // Boxed here: on its way into a task a future is copied several times, and this
                    // one is large.
                    tokio::spawn(Box::pin(stream.answer(service.clone())));
                }
                Poll::Ready(Some(Err(error))) => {
                    // Known to nobody else; what is wrong with one stream only, h2 resets.
                    if error.is_go_away() && error.is_library() && !calmed {
                        if error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) {
                            timed_out("http2_flood");
                        } else {
                            refused();
                        }
                    }
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        if let Some(fault) = socket.fault().filter(|_| !calmed) {
            calmed = true;
            match fault {
                Fault::Flood => timed_out("idle_frames"),
                Fault::Broken(_) => refused(),
            }
            connection.abrupt_shutdown(fault.reason());
            // It goes out as the connection is looked at again.
            cx.waker().wake_by_ref();
        }
        if liveness.poll_dead(cx, &socket).is_ready() {
            timed_out("ping");
            return Poll::Ready(());
        }
        shared.streams.set_waker(cx.waker());
        if shared.streams.has_overdone() && !calmed {
            calmed = true;
            timed_out("stream_resets");
            connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
            // It goes out as the connection is looked at again.
            cx.waker().wake_by_ref();
        }
        if shared.streams.open() > 0 {
            idle.clear();
        } else if !idle.is_set() {
            idle.set_in(settings.timeouts.keep_alive);
        }
        if idle.poll(cx).is_ready() {
            idle.clear();
            if told {
                // GOAWAY was sent a whole keep-alive time ago.
                timed_out("keep_alive");
                return Poll::Ready(());
            }
            told = true;
            connection.graceful_shutdown();
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
    if socket.has_timed_out() {
        timed_out(WRITE_TIMEOUT);
    }
}

/// The limits of heads are ours: h2's own, which it answers without a page or a log line, are
/// never the narrower ones.
fn builder(settings: &EdgeSettings) -> h2::server::Builder {
    let limits = &settings.head;
    // h2 counts 32 bytes for each field, and the line as fields.
    let list = limits
        .line
        .saturating_add(limits.fields_size)
        .saturating_add(limits.fields.saturating_mul(32))
        .saturating_add(1024);
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(settings.h2_streams)
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_local_error_reset_streams(Some(FAULTY_STREAMS))
        // What an honest client had sent on a stream that we broke off is no fault.
        .reset_stream_duration(RESET_REMEMBERED)
        .max_concurrent_reset_streams(RESETS_REMEMBERED);
    builder
}

#[cfg(test)]
mod tests;
