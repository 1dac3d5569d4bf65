//! A TLS stream as the transport of a connection.

use tokio_rustls::server::TlsStream;

use crate::hang_up::HangUpWatch;
use crate::transport::Transport;

impl<T: Transport> Transport for TlsStream<T> {
    fn abort(&self) {
        self.get_ref().0.abort();
    }

    fn become_tunnel(&self) {
        self.get_ref().0.become_tunnel();
    }

    fn watch_hang_up(&self) -> Option<HangUpWatch> {
        self.get_ref().0.watch_hang_up()
    }
}
