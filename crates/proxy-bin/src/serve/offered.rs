//! Sockets that this process did not open itself: those that systemd, or the process before,
//! handed over.

use std::io;
#[cfg(feature = "http3")]
use std::net::SocketAddr;

use proxy_server::Bound;
#[cfg(feature = "http3")]
use proxy_server::BoundUdp;

use crate::config::resolved::Address;

/// Sockets that wait for a listener with their address.
#[derive(Debug, Default)]
pub(super) struct Offered {
    pub(super) streams: Vec<Bound>,
    #[cfg(feature = "http3")]
    pub(super) datagrams: Vec<BoundUdp>,
}

impl Offered {
    /// The one with this address, if there is one.
    pub(super) fn take(&mut self, address: &Address) -> io::Result<Option<Bound>> {
        let at = self.streams.iter().position(|own| match (own, address) {
            (Bound::Tcp(own), Address::Tcp(address)) => {
                own.local_addr().is_ok_and(|own| own == *address)
            }
            (Bound::Unix(own), Address::Unix(path)) => {
                own.local_addr().is_ok_and(|own| own.as_pathname() == Some(path))
            }
            _ => false,
        });
        let Some(found) = at.map(|at| self.streams.swap_remove(at)) else { return Ok(None) };
        match &found {
            Bound::Tcp(own) => own.set_nonblocking(true)?,
            Bound::Unix(own) => own.set_nonblocking(true)?,
        }
        Ok(Some(found))
    }

    /// The same of UDP.
    #[cfg(feature = "http3")]
    pub(super) fn take_udp(&mut self, address: SocketAddr) -> Option<BoundUdp> {
        let at = self.datagrams.iter().position(|own| own.local_addr() == Some(address))?;
        Some(self.datagrams.swap_remove(at))
    }

    /// Says which are of no use.
    pub(super) fn tell_unused(&self) {
        for socket in &self.streams {
            let address = socket.local_addr().map(|address| address.to_string());
            let address = address.unwrap_or_else(|| "a unix socket".to_owned());
            tracing::warn!(address, "a socket was handed over that no listener names");
        }
        #[cfg(feature = "http3")]
        for address in self.datagrams.iter().filter_map(BoundUdp::local_addr) {
            let address = format!("{address} (UDP)");
            tracing::warn!(address, "a socket was handed over that no listener names");
        }
    }
}
