//! What a connection runs on.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A socket, or what stands in for one.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes the close that follows a reset. A peer that takes nothing would otherwise hold what
    /// we have written, and its socket, for as long as it likes.
    fn abort(&self);
}

impl Transport for TcpStream {
    fn abort(&self) {
        let _ = socket2::SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Transport for UnixStream {
    fn abort(&self) {}
}
