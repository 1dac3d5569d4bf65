//! One attempt at one address, and what its failure means.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use proxy_core::{ErrorKind, ProxyError, Retry};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

use super::DialConfig;

/// Bytes that wait in the system for a server's window, beyond which a connection takes no more: what
/// a client uploads waits with the client. Without it as much waits as the system's buffer may grow to
/// (4 MiB: `net.ipv4.tcp_wmem`). What is on its way does not count: it is no limit of throughput.
const UNSENT: u32 = 512 * 1024;

/// One attempt.
pub(super) async fn connect(address: SocketAddr, config: &DialConfig) -> io::Result<TcpStream> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.set_nodelay(true)?;
    // Systems without it do as before.
    let _ = SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT);
    if let Some(idle) = config.keepalive {
        let keepalive = TcpKeepalive::new()
            .with_time(idle)
            .with_interval((idle / 4).max(Duration::from_secs(1)))
            .with_retries(4);
        SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
    }
    let stream = socket.connect(address).await?;
    // A connect to a free port of this machine can meet itself (RFC 9293 section 3.5, a
    // simultaneous open with one end). Nobody listens there.
    if stream.local_addr()? == address {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

pub(super) fn failed(kind: ErrorKind, detail: &'static str) -> ProxyError {
    ProxyError::new(kind).retry(Retry::NothingSent).detail(detail)
}

/// The error that says most: an answer of the destination before the lack of a route to it, which
/// often means no more than that this machine has no IPv6.
pub(super) fn best(errors: Vec<io::Error>) -> ProxyError {
    let rank = |kind| match kind {
        ErrorKind::ConnectionRefused => 3,
        ErrorKind::ConnectionLimitReached => 2,
        ErrorKind::DestinationIpUnroutable => 0,
        _ => 1,
    };
    let errors = errors.into_iter().map(|error| (connect_error(&error), error));
    // The first of equals.
    let best = errors.rev().max_by_key(|((kind, _), _)| rank(*kind));
    match best {
        Some(((kind, detail), error)) => failed(kind, detail).source(error),
        None => failed(ErrorKind::ProxyInternalError, "there was no address to dial"),
    }
}

fn connect_error(error: &io::Error) -> (ErrorKind, &'static str) {
    use io::ErrorKind as Io;
    match error.kind() {
        Io::ConnectionRefused => (ErrorKind::ConnectionRefused, "the connection was refused"),
        Io::TimedOut => (ErrorKind::ConnectionTimeout, "connecting timed out"),
        Io::ConnectionReset | Io::ConnectionAborted => {
            (ErrorKind::ConnectionTerminated, "the connection was closed as it was made")
        }
        Io::HostUnreachable
        | Io::NetworkUnreachable
        | Io::NetworkDown
        | Io::AddrNotAvailable
        | Io::PermissionDenied
        | Io::InvalidInput
        | Io::Unsupported => (ErrorKind::DestinationIpUnroutable, "no route to the address"),
        _ => (ErrorKind::ConnectionLimitReached, "this machine could not open a connection"),
    }
}
