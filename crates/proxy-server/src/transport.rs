//! What a connection runs on.

use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::hang_up::HangUpWatch;
use crate::prefixed::Prefixed;

/// A socket, or what stands in for one.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes the close that follows a reset. A peer that takes nothing would otherwise hold what
    /// we have written, and its socket, for as long as it likes.
    fn abort(&self);

    /// From here on a peer may pause for as long as a tunnel may be idle.
    fn become_tunnel(&self);

    /// Tells when the peer leaves although nothing is read; `None` where that can not be known.
    fn watch_hang_up(&self) -> Option<HangUpWatch>;
}

impl Transport for TcpStream {
    fn abort(&self) {
        let _ = socket2::SockRef::from(self).set_linger(Some(Duration::ZERO));
    }

    fn become_tunnel(&self) {
        let _ = socket2::SockRef::from(self).set_tcp_user_timeout(None);
    }

    fn watch_hang_up(&self) -> Option<HangUpWatch> {
        HangUpWatch::new(self.as_fd()).ok()
    }
}

impl Transport for UnixStream {
    fn abort(&self) {}
    fn become_tunnel(&self) {}

    fn watch_hang_up(&self) -> Option<HangUpWatch> {
        HangUpWatch::new(self.as_fd()).ok()
    }
}

impl<T: Transport> Transport for Prefixed<T> {
    fn abort(&self) {
        self.get_ref().abort();
    }

    fn become_tunnel(&self) {
        self.get_ref().become_tunnel();
    }

    fn watch_hang_up(&self) -> Option<HangUpWatch> {
        self.get_ref().watch_hang_up()
    }
}

/// Sockets of any kind, where the cost of a handshake hides that of finding out which.
impl Transport for Box<dyn Transport> {
    fn abort(&self) {
        (**self).abort();
    }

    fn become_tunnel(&self) {
        (**self).become_tunnel();
    }

    fn watch_hang_up(&self) -> Option<HangUpWatch> {
        (**self).watch_hang_up()
    }
}
