//! What a connection runs on.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A socket, or what stands in for one.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes the close that follows a reset. A peer that takes nothing would otherwise hold what
    /// we have written, and its socket, for as long as it likes.
    fn abort(&self);

    /// From here on a peer may pause for as long as a tunnel may be idle.
    fn become_tunnel(&self);
}

impl Transport for TcpStream {
    fn abort(&self) {
        let _ = socket2::SockRef::from(self).set_linger(Some(Duration::ZERO));
    }

    fn become_tunnel(&self) {
        let _ = socket2::SockRef::from(self).set_tcp_user_timeout(None);
    }
}

impl Transport for UnixStream {
    fn abort(&self) {}
    fn become_tunnel(&self) {}
}

#[cfg(test)]
impl Transport for tokio::io::DuplexStream {
    fn abort(&self) {}
    fn become_tunnel(&self) {}
}
