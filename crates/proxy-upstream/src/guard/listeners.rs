//! The sockets on which this process listens, which it never dials.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, PoisonError, RwLock};

/// The addresses of our own listeners, admin included. Clones share one list, so a reload that
/// opens or closes a listener is seen by every guard that holds one.
///
/// A listener on `0.0.0.0` or `[::]` is that port on every local address of both families: on
/// most systems `[::]` takes IPv4 as well, and refusing one port too many on this machine is
/// the safe side. Which addresses are local is asked when such a port is dialled, so addresses
/// that come and go are seen.
///
/// What an address translation in front of this machine leads back to it can not be seen from
/// here; the loop check on `Via` ends that.
#[derive(Clone)]
pub struct OwnListeners(Arc<Inner>);

struct Inner {
    sockets: RwLock<Vec<SocketAddr>>,
    is_local: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
}

impl OwnListeners {
    /// The list, with [`is_local_address`] to tell local addresses. The addresses are those that
    /// the sockets are bound to (port 0 replaced by what the system gave).
    pub fn new(sockets: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self::with_local_addresses(sockets, is_local_address)
    }

    /// The list, with a function that says whether an address is one of this machine's. Loopback
    /// and unspecified addresses are never asked about: they are local.
    pub fn with_local_addresses(
        sockets: impl IntoIterator<Item = SocketAddr>,
        is_local: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        let own =
            Self(Arc::new(Inner { sockets: RwLock::default(), is_local: Box::new(is_local) }));
        own.set(sockets);
        own
    }

    /// Replaces the list, for every clone.
    pub fn set(&self, sockets: impl IntoIterator<Item = SocketAddr>) {
        let sockets = sockets.into_iter().map(|socket| canonical(socket.ip(), socket.port()));
        *self.0.sockets.write().unwrap_or_else(PoisonError::into_inner) = sockets.collect();
    }

    /// Whether dialling this address would reach one of the listeners.
    pub(super) fn reaches(&self, address: SocketAddr) -> bool {
        let dialled = canonical(address.ip(), address.port());
        let mut wildcard = false;
        for own in self.0.sockets.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if own.port() != dialled.port() {
                continue;
            }
            // A connect to the unspecified address goes to this machine.
            if own.ip() == dialled.ip() || dialled.ip().is_unspecified() {
                return true;
            }
            wildcard |= own.ip().is_unspecified();
        }
        wildcard && (dialled.ip().is_loopback() || (self.0.is_local)(dialled.ip()))
    }
}

impl Default for OwnListeners {
    /// No listener.
    fn default() -> Self {
        Self::new([])
    }
}

impl fmt::Debug for OwnListeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_tuple("OwnListeners").field(&*sockets).finish()
    }
}

/// Without scope and flow, and mapped addresses as IPv4.
fn canonical(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip.to_canonical(), port)
}

/// Whether an address is one of this machine's, by asking the system which source address it would
/// use to reach it: for its own addresses, that address itself. Sends nothing.
pub fn is_local_address(address: IpAddr) -> bool {
    let any = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        // The port has no meaning here; it must only not be zero.
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address || source.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_local_and_the_documentation_range_is_not() {
        assert!(is_local_address(Ipv4Addr::LOCALHOST.into()));
        assert!(is_local_address(Ipv4Addr::new(127, 1, 2, 3).into()));
        assert!(!is_local_address(Ipv4Addr::new(203, 0, 113, 77).into()));
        assert!(!is_local_address("2001:db8::77".parse().unwrap()));
    }

    #[test]
    fn a_new_list_is_seen_by_every_clone() {
        let own = OwnListeners::default();
        let clone = own.clone();
        let socket: SocketAddr = "127.0.0.1:3128".parse().unwrap();
        assert!(!clone.reaches(socket));
        own.set([socket]);
        assert!(clone.reaches(socket));
        own.set([]);
        assert!(!clone.reaches(socket));
    }
}
