//! Listeners: the sockets that accept, and what they permit before a byte is read.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use proxy_core::{ClientAddr, IpSet};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::edge::Edge;
use crate::tls::TlsEdge;

/// Connections that may wait to be accepted.
pub(crate) const BACKLOG: i32 = 4096;

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
