//! Listeners: sockets that accept, and what is judged before a byte is read.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as HttpBody;
use proxy_core::{
    Body, BoxError, ClientAddr, ConnectionEvent, ConnectionInfo, ConnectionRefusal, IpSet,
};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tower_service::Service;

use crate::connection;
use crate::drain::{Drain, DrainPhase};
use crate::edge::Edge;
use crate::limiter::{LimitReached, Limiter};
use crate::terms::{Current, Terms};
use crate::tls::TlsEdge;
use crate::transport::Transport;
use crate::workers::Workers;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Bytes that wait in the system for a client's window, beyond which a connection takes no more.
///
/// Without it as much waits as the system's buffer may grow to (4 MiB: `net.ipv4.tcp_wmem`), so that
/// some hundred clients who ask for much and read nothing fill what all TCP of the machine may have
/// (`net.ipv4.tcp_mem`). What is on its way does not count: it is no limit of throughput. With less the
/// process is woken more often: at 128 KiB an answer of 1 MiB costs a sixth more, here nothing.
const UNSENT: u32 = 512 * 1024;

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that is bound and listens.
#[derive(Debug)]
pub enum Bound {
    /// TCP.
    Tcp(StdTcpListener),
    /// A unix socket.
    Unix(StdUnixListener),
}

impl Bound {
    /// Binds an address. A unix socket's file left by a process that is gone is replaced.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn bind(address: &ListenAddress) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => {
                let socket = tcp(*address)?;
                socket.bind(&(*address).into())?;
                socket.listen(BACKLOG)?;
                Ok(Self::Tcp(socket.into()))
            }
            ListenAddress::Unix(path) => {
                remove_stale(path);
                let listener = StdUnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Unix(listener))
            }
        }
    }

    /// Binds an address beside sockets of this process that are about to be closed, and that have
    /// the same port: one address and all addresses exclude each other otherwise. Until they are
    /// closed, whoever connects gets to the socket with the closest address.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn bind_beside(address: &ListenAddress, going: &[&Self]) -> io::Result<Self> {
        let ListenAddress::Tcp(address) = address else { return Self::bind(address) };
        let going = going.iter().filter_map(|own| match own {
            Self::Tcp(listener) => Some(SockRef::from(listener)),
            Self::Unix(_) => None,
        });
        let going: Vec<_> = going.collect();
        let socket = tcp(*address)?;
        // For the moment of binding only: it would let other processes of the same user share it.
        let share = |shared: bool| -> io::Result<()> {
            going.iter().try_for_each(|own| own.set_reuse_port(shared))?;
            socket.set_reuse_port(shared)
        };
        let bound = share(true)
            .and_then(|()| socket.bind(&(*address).into()))
            .and_then(|()| socket.listen(BACKLOG));
        share(false)?;
        bound.map(|()| Self::Tcp(socket.into()))
    }

    /// The same socket once more: whoever accepts on either takes from the same queue, which is
    /// there until the last of them is closed.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }

    /// The address, with the port that the system chose for port 0.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` must not take the IPv4 port along: what listens where is said once.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Removes a socket on which nobody listens any more. Anything else that is there stays: binding
/// then says so.
fn remove_stale(path: &std::path::Path) {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    let refused = std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if is_socket && refused {
        let _ = std::fs::remove_file(path);
    }
}

/// What a listener permits before a request is read.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// Its name in log and metrics.
    pub name: Arc<str>,
    /// Peers whose word about the client is taken.
    pub trusted: IpSet,
    /// Where given, only these may connect.
    pub allow: Option<IpSet>,
    /// These may not; beats `allow`.
    pub deny: IpSet,
    /// Trusted peers must, others must not, begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Offers HTTP/1.1.
    pub http1: bool,
    /// Offers HTTP/2: over TLS by ALPN, in clear text with prior knowledge.
    pub http2: bool,
    /// TLS, where the listener speaks it; its ALPN is to offer what the two above say.
    pub tls: Option<Arc<TlsEdge>>,
    /// The edge, shared by all its connections.
    pub edge: Arc<Edge>,
}

impl ListenerSettings {
    /// Judges an address by `deny` and `allow`.
    pub fn admits(&self, client: ClientAddr) -> bool {
        !client.is_in(&self.deny) && self.allow.as_ref().is_none_or(|allow| client.is_in(allow))
    }
}

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
        loop {
            // What comes after the end is whoever else's holds the socket.
            let accepted = tokio::select! {
                biased;
                () = self.stop.begun() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer),
                Err(error) => pause(&error).await,
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
                Err(error) => pause(&error).await,
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

/// An accept that failed: a connection that is gone again is nothing; being out of descriptors
/// passes only with time.
async fn pause(error: &io::Error) {
    if !is_passing(error) {
        tracing::warn!(%error, "accept failed");
        tokio::time::sleep(Duration::from_millis(50)).await;
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
