//! What the system holds of what a process has sent.

use std::net::SocketAddr;

/// Bytes that wait in the socket of `local` until the peer at `to` takes them, as the system counts
/// them; `None` where there is no such connection of IPv4.
#[must_use]
pub fn bytes(local: SocketAddr, to: SocketAddr) -> Option<usize> {
    let (local, to) = (written(local)?, written(to)?);
    let table = std::fs::read_to_string("/proc/net/tcp").expect("proc");
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[_, from, peer, _, queues, ..] = &fields[..] else { return None };
        let (sending, _) = queues.split_once(':')?;
        (from == local && peer == to).then(|| usize::from_str_radix(sending, 16).ok())?
    })
}

/// An address as it stands in the table.
fn written(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    let ip = u32::from_ne_bytes(address.ip().octets());
    Some(format!("{ip:08X}:{:04X}", address.port()))
}
