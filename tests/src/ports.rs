//! Free loopback ports for programs that must be told where to listen.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which the kernel takes the ports of outgoing connections, so that none of
/// those can take a port between the choice and the use; above what browsers refuse.
const FIRST: u16 = 15_000;
const COUNT: u16 = 17_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// An address on 127.0.0.1 where nothing listens.
#[must_use]
pub fn free() -> SocketAddr {
    let start = u16::try_from(std::process::id() * 37 % u32::from(COUNT)).expect("in range");
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start.wrapping_add(step)) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        if TcpListener::bind(everywhere).is_ok() {
            return address;
        }
    }
    panic!("no free port");
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_calls_give_two_ports() {
        assert_ne!(super::free(), super::free());
    }
}
