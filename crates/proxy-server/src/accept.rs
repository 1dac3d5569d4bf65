//! Accepting: connections are taken, judged by where they come from, and given to workers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as HttpBody;
use proxy_core::{Body, BoxError, ClientAddr, ConnectionEvent, ConnectionInfo, ConnectionRefusal};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tower_service::Service;

use crate::connection;
use crate::drain::{Drain, DrainPhase};
use crate::limiter::{LimitReached, Limiter};
use crate::listener::{BACKLOG, Bound};
use crate::terms::{Current, Terms};
use crate::transport::Transport;
use crate::workers::Workers;

/// Bytes that wait in the system for a client's window, beyond which a connection takes no more.
///
/// Without it as much waits as the system's buffer may grow to (4 MiB: `net.ipv4.tcp_wmem`), so that
/// some hundred clients who ask for much and read nothing fill what all TCP of the machine may have
/// (`net.ipv4.tcp_mem`). What is on its way does not count: it is no limit of throughput. With less the
/// process is woken more often: at 128 KiB an answer of 1 MiB costs a sixth more, here nothing.
const UNSENT: u32 = 512 * 1024;

/// How long accepting rests where it fails: being out of descriptors passes only with time.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the log is silent about further failures.
const SILENCE: Duration = Duration::from_secs(10);

/// Accepts until `stop` drains, and what waits in the queue then: with the socket it would be gone.
/// Where `stop` ends at once, the queue is left to whoever else has the socket. Connections are
/// served by the terms of the moment in which they come.
///
/// # Errors
/// A socket that can not be used.
pub async fn accept<S, B>(
    bound: Bound,
    terms: Terms,
    service: S,
    workers: Arc<Workers>,
    limiter: Limiter,
    stop: Drain,
) -> io::Result<()>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + Unpin + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let acceptor = Acceptor { terms, service, workers, limiter, stop };
    match bound {
        Bound::Tcp(listener) => {
            // Connections have it from the socket that they are accepted on. Systems without it do
            // as before.
            let _ = SockRef::from(&listener).set_tcp_notsent_lowat(UNSENT);
            acceptor.tcp(TcpListener::from_std(listener)?).await;
        }
        Bound::Unix(listener) => acceptor.unix(UnixListener::from_std(listener)?).await,
    }
    Ok(())
}

struct Acceptor<S> {
    terms: Terms,
    service: S,
    workers: Arc<Workers>,
    limiter: Limiter,
    stop: Drain,
}

/// A socket that can change its reactor.
trait Portable: Send + 'static {
    type Std: Send + 'static;
    type Live: Transport;
    fn detach(self) -> io::Result<Self::Std>;
    fn attach(std: Self::Std) -> io::Result<Self::Live>;
}

impl Portable for TcpStream {
    type Std = std::net::TcpStream;
    type Live = Self;
    fn detach(self) -> io::Result<Self::Std> {
        self.into_std()
    }
    fn attach(std: Self::Std) -> io::Result<Self> {
        Self::from_std(std)
    }
}

impl Portable for UnixStream {
    type Std = std::os::unix::net::UnixStream;
    type Live = Self;
    fn detach(self) -> io::Result<Self::Std> {
        self.into_std()
    }
    fn attach(std: Self::Std) -> io::Result<Self> {
        Self::from_std(std)
    }
}

impl<S, B> Acceptor<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + Unpin + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async fn tcp(self, listener: TcpListener) {
        let mut failures = Failures::default();
        loop {
            // What comes after the end is whoever else's holds the socket.
            let accepted = tokio::select! {
                biased;
                () = self.stop.begun() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer),
                Err(error) => failures.pause(&error).await,
            }
        }
        let Ok(listener) = listener.into_std() else { return };
        self.last(|| {
            let (stream, peer) = listener.accept()?;
            stream.set_nonblocking(true)?;
            self.take(TcpStream::from_std(stream)?, peer);
            Ok(())
        });
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let terms = self.terms.current();
        prepare(&stream, terms.settings.edge.settings.timeouts.write);
        // The listener may stand on all addresses; the connection has just one.
        let local = stream.local_addr().ok();
        self.admit(&terms, stream, ClientAddr::from(peer), local);
    }

    async fn unix(self, listener: UnixListener) {
        let mut failures = Failures::default();
        loop {
            // What comes after the end is whoever else's holds the socket.
            let accepted = tokio::select! {
                biased;
                () = self.stop.begun() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    self.admit(&self.terms.current(), stream, ClientAddr::unknown(), None);
                }
                Err(error) => failures.pause(&error).await,
            }
        }
        let Ok(listener) = listener.into_std() else { return };
        self.last(|| {
            let (stream, _) = listener.accept()?;
            stream.set_nonblocking(true)?;
            let stream = UnixStream::from_std(stream)?;
            self.admit(&self.terms.current(), stream, ClientAddr::unknown(), None);
            Ok(())
        });
    }

    /// Accepts what waits in the queue, unless it is for somebody else.
    fn last(&self, mut accept: impl FnMut() -> io::Result<()>) {
        for _ in 0..BACKLOG {
            if self.stop.phase() == DrainPhase::Ending {
                return;
            }
            match accept() {
                Ok(()) => {}
                Err(error) if is_passing(&error) => {}
                Err(_) => return,
            }
        }
    }

    /// Judges the peer, takes a place and hands the connection to a worker.
    fn admit<P: Portable>(
        &self,
        terms: &Current,
        stream: P,
        peer: ClientAddr,
        local: Option<SocketAddr>,
    ) {
        let Current { settings, drain } = terms;
        let trusted = peer.is_in(&settings.trusted);
        let info = Arc::new(ConnectionInfo {
            id: settings.edge.exchanges.next_connection(),
            listener: Arc::clone(&settings.name),
            peer,
            peer_trusted: trusted,
            local,
            scheme: "http",
            tls: None,
            parent: None,
            accepted: Instant::now(),
            activity: Arc::default(),
        });
        let refused = |why| settings.edge.events.on_event(&info, ConnectionEvent::Refused(why));
        if !trusted && settings.proxy_protocol {
            return refused(ConnectionRefusal::ProxyProtocol);
        }
        // A trusted proxy's own address is never judged: its clients' addresses are, later.
        if !trusted && !settings.admits(peer) {
            return refused(ConnectionRefusal::Address);
        }
        // Behind a trusted proxy all clients share one address: only the total counts for them.
        let place = match self.limiter.take(if trusted { ClientAddr::unknown() } else { peer }) {
            Ok(place) => place,
            Err(LimitReached::Total) => return refused(ConnectionRefusal::TotalLimit),
            Err(LimitReached::Client) => return refused(ConnectionRefusal::ClientLimit),
        };
        let Ok(std) = stream.detach() else { return };
        let guard = drain.register(&info);
        let (settings, service, drain, limiter) =
            (Arc::clone(settings), self.service.clone(), drain.clone(), self.limiter.clone());
        self.workers.dispatch(move || async move {
            let _place = place;
            if let Ok(stream) = P::attach(std) {
                let shared = connection::Shared { settings, limiter, drain };
                connection::serve(stream, BytesMut::new(), info, shared, service, guard).await;
            }
        });
    }
}

fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Whether the machine or the process lacks what a connection takes: until there is some again, the
/// connection stays in the queue.
fn is_lack(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|errno| LACKS.contains(&errno))
}

/// ENOMEM, ENFILE, EMFILE and ENOBUFS, as Linux numbers them.
const LACKS: [i32; 4] = [12, 23, 24, 105];

/// Accepts that fail one after the other: a log has a line of them now and then.
#[derive(Debug, Default)]
struct Failures {
    /// Since the last line.
    count: u64,
    told: Option<Instant>,
}

impl Failures {
    /// An accept that failed: a connection that is gone again is nothing; being out of descriptors
    /// passes only with time.
    async fn pause(&mut self, error: &io::Error) {
        if is_passing(error) {
            return;
        }
        match self.count(Instant::now()) {
            Some(count) if is_lack(error) => {
                tracing::warn!(%error, count, "connections cannot be accepted: they wait");
            }
            Some(count) => tracing::warn!(%error, count, "connections cannot be accepted"),
            None => {}
        }
        tokio::time::sleep(PAUSE).await;
    }

    /// Counts one more; how many there were, where it is time for a line. What was left of a burst
    /// that has ended is no part of the next one.
    fn count(&mut self, now: Instant) -> Option<u64> {
        let silent = self.told.map(|told| now.duration_since(told));
        if silent.is_some_and(|silent| silent > 2 * SILENCE) {
            self.count = 0;
        }
        self.count += 1;
        silent.is_none_or(|silent| silent >= SILENCE).then(|| {
            self.told = Some(now);
            std::mem::take(&mut self.count)
        })
    }
}

/// Small messages go out at once; a peer that is gone, or takes nothing, is found out.
fn prepare(stream: &TcpStream, unacknowledged: Duration) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15));
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_user_timeout(Some(unacknowledged));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_a_line_now_and_then() {
        let (mut failures, begun) = (Failures::default(), Instant::now());
        let at = |millis| begun + Duration::from_millis(millis);
        assert_eq!(failures.count(at(0)), Some(1), "the first is told at once");
        let told: Vec<u64> = (1..=400).filter_map(|turn| failures.count(at(turn * 50))).collect();
        assert_eq!(told, [200, 200], "of twenty seconds");
    }

    #[test]
    fn a_burst_has_nothing_of_the_last_one() {
        let (mut failures, begun) = (Failures::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let told: Vec<Option<u64>> =
            [0, 1, 2, 3600, 3601, 3610].map(|second| failures.count(at(second))).into();
        assert_eq!(told, [Some(1), None, None, Some(1), None, Some(2)]);
    }

    #[test]
    fn who_waits_is_told_by_the_error() {
        // Too many open files here and everywhere; not permitted, network is down.
        for (errno, waits) in
            [(24, true), (23, true), (12, true), (105, true), (1, false), (100, false)]
        {
            assert_eq!(is_lack(&io::Error::from_raw_os_error(errno)), waits, "{errno}");
        }
        assert!(!is_lack(&io::Error::other("without a number")));
    }
}
