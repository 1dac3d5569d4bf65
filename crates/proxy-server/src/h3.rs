//! The HTTP/3 edge: [`accept_quic`] serves the streams of QUIC connections with any service, one
//! clone a stream.
//!
//! quinn does QUIC; everything of HTTP/3 is here, because a message must be seen as it came to be
//! judged (docs/decisions/0013-http3-on-quinn.md). Each stream is a task: it reads the head, judges
//! it as the HTTP/1 edge does, calls the service, and writes no more than the client's windows
//! take, so that a client which opens none is noticed.

mod admission;
mod answer;
mod bound;
mod code;
mod content;
mod control;
mod endpoint;
mod frames;
mod ids;
mod keys;
mod line;
mod priority;
mod qpack;
mod reader;
mod request_stream;
mod sections;
mod sender;
mod sending;
mod tunnel_io;
mod varint;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body::Body as HttpBody;
use proxy_core::deadline::Deadline;
use proxy_core::{Body, BoxError, ConnectionEvent, ConnectionInfo};
use quinn::{ConnectionError, RecvStream, SendStream};
use tokio::time::timeout;
use tower_service::Service;

use crate::connection::Open;
use crate::drain::{Drain, DrainGuard, DrainPhase};
use crate::edge::Edge;
use crate::limiter::Place;
use crate::multiplex::streams::Streams;
use crate::settings::EdgeSettings;
use code::Code;
use control::Critical;
use frames::kind;

pub use bound::{BoundUdp, HandedUdp, UdpPast, WeakUdp};
pub use endpoint::{QuicDoor, QuicSettings, accept_quic};

/// Response content that a connection holds until the client has acknowledged it.
const SEND_WINDOW: u64 = 1024 * 1024;
/// How long a client that was told to go elsewhere may not know it yet, at least and at most.
const GOAWAY_GRACE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// What a client may open whatever its number: the first GOAWAY excludes none (RFC 9114
/// section 5.2).
const ANY_STREAM: u64 = varint::MAX - 3;

/// What the streams of a connection share.
struct Connection {
    quic: quinn::Connection,
    info: Arc<ConnectionInfo>,
    edge: Arc<Edge>,
    drain: Drain,
    streams: Arc<Streams>,
    /// The largest field section that we read.
    section_limit: usize,
    /// The largest that the client does.
    peer_limit: AtomicU64,
    /// Request streams that were taken.
    taken: AtomicU64,
    /// Bytes that were handed over on all streams.
    moved: AtomicU64,
    failed: AtomicBool,
    critical: Critical,
    /// Its end is told, and its place free, once the last of its streams is done.
    _held: (Open, Place),
}

impl Connection {
    /// Ends the connection for what the client did.
    fn fail(&self, code: Code, why: &'static str) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            tracing::debug!(?code, why, "an HTTP/3 connection fails");
            match code {
                Code::ExcessiveLoad => self.timed_out(why),
                _ => {
                    let status = StatusCode::BAD_REQUEST;
                    let event = ConnectionEvent::HeadRefused { status, reason: "http3" };
                    self.edge.events.on_event(&self.info, event);
                }
            }
        }
        self.quic.close(code.into(), why.as_bytes());
    }

    fn timed_out(&self, reason: &'static str) {
        self.edge.events.on_event(&self.info, ConnectionEvent::TimedOut { reason });
    }

    fn set_peer_limit(&self, limit: u64) {
        self.peer_limit.store(limit, Ordering::Release);
    }

    fn peer_limit(&self) -> u64 {
        self.peer_limit.load(Ordering::Acquire)
    }
}

/// Answers the streams of one connection until it ends.
async fn serve<S, B>(
    quic: quinn::Connection,
    info: Arc<ConnectionInfo>,
    service: S,
    edge: Arc<Edge>,
    (drain, guard): (Drain, DrainGuard),
    held: (Open, Place),
) where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let settings = edge.settings;
    info.activity.set_protocol(Version::HTTP_3);
    let counted = quic.clone();
    guard.set_meter(move || {
        let stats = counted.stats();
        (stats.udp_rx.bytes, stats.udp_tx.bytes)
    });
    let shared = Arc::new(Connection {
        quic: quic.clone(),
        info,
        edge,
        drain,
        streams: Arc::new(Streams::new(settings.h2_resets)),
        section_limit: section_limit(&settings),
        peer_limit: AtomicU64::new(u64::MAX),
        taken: AtomicU64::new(0),
        moved: AtomicU64::new(0),
        failed: AtomicBool::new(false),
        critical: Critical::default(),
        _held: held,
    });
    let within = settings.timeouts.first_byte.max(settings.timeouts.header);
    let opened = timeout(within, open_control(&quic, shared.section_limit)).await;
    let Ok(Some(mut control)) = opened else {
        // It lets us open no stream: section 6.2 says that it must.
        return shared.fail(Code::StreamCreationError, "no_control_stream");
    };
    let mut course = Course::new(guard, Arc::clone(&shared));
    // The number of the next stream, as GOAWAY counts.
    let mut next = 0;
    loop {
        let happened = tokio::select! {
            biased;
            turn = poll_fn(|cx| course.poll_turn(cx)) => Happened::Turn(turn),
            opened = quic.accept_bi() => opened.map_or_else(Happened::Lost, Happened::Request),
            opened = quic.accept_uni() => opened.map_or_else(Happened::Lost, Happened::Control),
        };
        match happened {
            Happened::Request((mut sending, mut receiving)) => {
                if course.has_ended() {
                    // Fails only where the stream is gone.
                    let _ = sending.reset(Code::RequestRejected.into());
                    let _ = receiving.stop(Code::RequestRejected.into());
                    continue;
                }
                next += 4;
                shared.taken.fetch_add(1, Ordering::AcqRel);
                let stream = answer::Stream::new(sending, receiving, &shared);
                // Boxed here: on its way into a task a future is copied several times, and this one
                // is large.
                tokio::spawn(Box::pin(stream.answer(service.clone())));
            }
            Happened::Control(stream) => {
                tokio::spawn(control::receive(stream, Arc::clone(&shared)));
            }
            Happened::Turn(Turn::GoAway) => send_goaway(&mut control, ANY_STREAM).await,
            Happened::Turn(Turn::LastCall) => send_goaway(&mut control, next).await,
            Happened::Turn(Turn::Overdone) => {
                return shared.fail(Code::ExcessiveLoad, "stream_resets");
            }
            Happened::Turn(Turn::Close) => return quic.close(Code::NoError.into(), b""),
            Happened::Lost(ConnectionError::TimedOut) => return shared.timed_out("ping"),
            Happened::Lost(_) => return,
        }
    }
}

enum Happened {
    Request((SendStream, RecvStream)),
    Control(RecvStream),
    Turn(Turn),
    Lost(ConnectionError),
}

/// Opens our control stream and says what we take. There are no streams for QPACK: without a
/// dynamic table nothing is said on them (RFC 9204 section 4.2).
async fn open_control(quic: &quinn::Connection, section_limit: usize) -> Option<SendStream> {
    let mut stream = quic.open_uni().await.ok()?;
    let mut settings = Vec::new();
    varint::write(&mut settings, 0x6);
    varint::write(&mut settings, section_limit as u64);
    let mut bytes = vec![0x0];
    varint::write(&mut bytes, kind::SETTINGS);
    varint::write(&mut bytes, settings.len() as u64);
    bytes.extend_from_slice(&settings);
    stream.write_all(&bytes).await.ok()?;
    // What is said there comes before all answers.
    let _ = stream.set_priority(i32::MAX);
    Some(stream)
}

async fn send_goaway(control: &mut SendStream, stream: u64) {
    let mut id = Vec::new();
    varint::write(&mut id, stream);
    let mut frame = frames::frame_head(kind::GOAWAY, id.len()).to_vec();
    frame.extend_from_slice(&id);
    // A client that leaves no room for some bytes learns it when the connection goes.
    let _ = timeout(GOAWAY_GRACE.1, control.write_all(&frame)).await;
}

/// The fields that a head may have, as its limits count them, and 32 bytes for each of them. What
/// is beyond is refused by our limits, with a page.
fn section_limit(settings: &EdgeSettings) -> usize {
    let limits = &settings.head;
    let list = limits
        .line
        .saturating_add(limits.fields_size)
        .saturating_add(limits.fields.saturating_mul(32))
        .saturating_add(1024);
    list.min(1 << 30)
}

/// What is to be done about a connection.
enum Turn {
    /// Tell the client to open no more streams.
    GoAway,
    /// Say which ones were taken, and take no more.
    LastCall,
    /// It broke off more streams than it may.
    Overdone,
    /// Nothing is left to be done.
    Close,
}

/// How far a connection's end has come.
enum Stage {
    Serving,
    /// The client was told to open no more; what it opens before it knows is served.
    Leaving(Deadline),
    /// Nothing more is taken.
    Ended,
}

/// The course of a connection: from its first stream to its end.
struct Course {
    stage: Stage,
    guard: DrainGuard,
    shared: Arc<Connection>,
    idle: Deadline,
}

impl Course {
    fn new(guard: DrainGuard, shared: Arc<Connection>) -> Self {
        Self { stage: Stage::Serving, guard, shared, idle: Deadline::default() }
    }

    fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let phase = self.guard.poll_phase(cx);
        if phase == DrainPhase::Ending {
            return Poll::Ready(Turn::Close);
        }
        let streams = &self.shared.streams;
        streams.set_waker(cx.waker());
        if streams.has_overdone() {
            return Poll::Ready(Turn::Overdone);
        }
        match &mut self.stage {
            Stage::Serving => {
                if streams.open() > 0 {
                    self.idle.clear();
                } else if !self.idle.is_set() {
                    self.idle.set_in(self.shared.edge.settings.timeouts.keep_alive);
                }
                if phase < DrainPhase::Draining && self.idle.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let grace = (self.shared.quic.rtt() * 2).clamp(GOAWAY_GRACE.0, GOAWAY_GRACE.1);
                let mut leaving = Deadline::default();
                leaving.set_in(grace);
                self.stage = Stage::Leaving(leaving);
                Poll::Ready(Turn::GoAway)
            }
            Stage::Leaving(deadline) => deadline.poll(cx).map(|()| {
                self.stage = Stage::Ended;
                Turn::LastCall
            }),
            Stage::Ended if streams.open() == 0 => Poll::Ready(Turn::Close),
            Stage::Ended => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests;
