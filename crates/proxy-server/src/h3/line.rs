//! The line between two processes on one UDP socket: the one that reads passes on what is for the
//! connections of the other.
//!
//! A packet is one message, with who has sent it and to which of our addresses in front. Where the
//! other process takes them too slowly they are lost, as packets are.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use quinn::udp::{EcnCodepoint, RecvMeta};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// What stands in front of a packet: marks, the sender's port, its address, and ours.
const HEADER: usize = 2 + 2 + 16 + 16;
/// Marks: the address is one of IPv4.
const SENDER_V4: u8 = 1;
const OWN_V4: u8 = 2;
/// Our address is known.
const OWN: u8 = 4;
/// Room for packets that wait; the system may give less.
const BUFFER: usize = 1024 * 1024;

/// The end of the process that reads the socket.
#[derive(Debug)]
pub(super) struct Sending {
    socket: Socket,
    /// The same once more, from the first poll on: it shows that the other end is closed.
    watched: Option<UnixDatagram>,
}

/// The end of the process that does not any more.
#[derive(Debug)]
pub(super) struct Receiving(UnixDatagram);

/// Both ends; the second is for [`Receiving::new`].
pub(super) fn pair() -> io::Result<(OwnedFd, Socket)> {
    // Messages, and an end that is seen when the other one is closed.
    let (sending, receiving) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
    sending.set_nonblocking(true)?;
    receiving.set_nonblocking(true)?;
    let _ = sending.set_send_buffer_size(BUFFER);
    Ok((sending.into(), receiving))
}

impl From<OwnedFd> for Sending {
    fn from(descriptor: OwnedFd) -> Self {
        Self { socket: descriptor.into(), watched: None }
    }
}

impl Sending {
    pub(super) fn try_clone(&self) -> io::Result<OwnedFd> {
        self.socket.try_clone().map(Into::into)
    }

    /// Waits until nobody has the other end any more. To be called within a runtime.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.watched.is_none() {
            let again = self.try_clone();
            self.watched = again.and_then(|own| UnixDatagram::from_std(own.into())).ok();
        }
        // Where it can not be watched, the next packet shows it.
        let Some(watched) = &self.watched else { return Poll::Pending };
        while ready!(watched.poll_recv_ready(cx)).is_ok() {
            // Nothing is said in this direction.
            match watched.try_recv(&mut [0]) {
                Ok(1..) => {}
                Err(error) if is_passing(&error) => {}
                Ok(0) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }

    /// Whether there is anybody to pass anything on to. A packet may be lost.
    pub(super) fn pass_on(&self, meta: &RecvMeta, packet: &[u8]) -> bool {
        let header = encode(meta);
        match (&self.socket).write_vectored(&[IoSlice::new(&header), IoSlice::new(packet)]) {
            // A message goes as a whole.
            Ok(length) => length >= HEADER,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::NotConnected
            ),
        }
    }
}

impl Receiving {
    /// To be called within a runtime.
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        UnixDatagram::from_std(OwnedFd::from(socket).into()).map(Self)
    }

    /// The next packet; `false` when there will be none, because nobody has the other end.
    pub(super) fn poll_packet(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        meta: &mut RecvMeta,
    ) -> Poll<bool> {
        loop {
            if ready!(self.0.poll_recv_ready(cx)).is_err() {
                return Poll::Ready(false);
            }
            let mut header = [0; HEADER];
            let read = self.0.try_io(Interest::READABLE, || {
                let mut into = [IoSliceMut::new(&mut header), IoSliceMut::new(buffer)];
                (&*SockRef::from(&self.0)).read_vectored(&mut into)
            });
            match read {
                Ok(0) => return Poll::Ready(false),
                // Nobody else writes here.
                Ok(length) if length <= HEADER => {}
                Ok(length) => {
                    *meta = decode(&header, length - HEADER);
                    return Poll::Ready(true);
                }
                Err(error) if is_passing(&error) => {}
                Err(_) => return Poll::Ready(false),
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn encode(meta: &RecvMeta) -> [u8; HEADER] {
    let (sender_v4, sender) = wide(meta.addr.ip());
    let (own_v4, own) = meta.dst_ip.map_or((false, [0; 16]), wide);
    let mut header = [0; HEADER];
    header[0] = meta.ecn.map_or(0, |ecn| ecn as u8);
    let mark = |mark, is_set| if is_set { mark } else { 0 };
    header[1] =
        mark(SENDER_V4, sender_v4) | mark(OWN_V4, own_v4) | mark(OWN, meta.dst_ip.is_some());
    header[2..4].copy_from_slice(&meta.addr.port().to_be_bytes());
    header[4..20].copy_from_slice(&sender);
    header[20..].copy_from_slice(&own);
    header
}

fn decode(header: &[u8; HEADER], length: usize) -> RecvMeta {
    let marked = |mark| header[1] & mark != 0;
    let ip = |at: usize, is_v4| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[at..at + 16]);
        let wide = Ipv6Addr::from(octets);
        match wide.to_ipv4_mapped().filter(|_| is_v4) {
            Some(narrow) => IpAddr::V4(narrow),
            None => IpAddr::V6(wide),
        }
    };
    let port = u16::from_be_bytes([header[2], header[3]]);
    RecvMeta {
        addr: SocketAddr::new(ip(4, marked(SENDER_V4)), port),
        len: length,
        stride: length,
        ecn: EcnCodepoint::from_bits(header[0]),
        dst_ip: marked(OWN).then(|| ip(20, marked(OWN_V4))),
    }
}

fn wide(ip: IpAddr) -> (bool, [u8; 16]) {
    match ip {
        IpAddr::V4(ip) => (true, ip.to_ipv6_mapped().octets()),
        IpAddr::V6(ip) => (false, ip.octets()),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_packet_comes_with_its_addresses_and_then_the_end() {
        let (sending, receiving) = pair().expect("a pair");
        let sending = Sending::from(sending);
        let receiving = Receiving::new(receiving).expect("within a runtime");
        let sent = [
            ("192.0.2.1:443", Some("198.51.100.1"), Some(EcnCodepoint::Ce)),
            ("[2001:db8::1]:1", Some("2001:db8::2"), None),
            ("[::ffff:192.0.2.1]:2", None, Some(EcnCodepoint::Ect0)),
        ];
        for (addr, own, ecn) in sent {
            let addr = addr.parse().expect("an address");
            let dst_ip = own.map(|own| own.parse().expect("an address"));
            let meta = RecvMeta { addr, dst_ip, ecn, len: 3, stride: 3 };
            assert!(sending.pass_on(&meta, b"abc"));
            let (mut seen, mut buffer) = (RecvMeta::default(), [0; 100]);
            let came = poll_fn(|cx| receiving.poll_packet(cx, &mut buffer, &mut seen)).await;
            assert!(came && &buffer[..seen.len] == b"abc");
            assert_eq!((seen.addr, seen.dst_ip, seen.ecn), (addr, dst_ip, ecn));
        }
        let twice = Sending::from(sending.try_clone().expect("a descriptor"));
        drop(sending);
        assert!(twice.pass_on(&RecvMeta::default(), b"still"));
        drop(twice);
        let (mut seen, mut buffer) = (RecvMeta::default(), [0; 100]);
        assert!(poll_fn(|cx| receiving.poll_packet(cx, &mut buffer, &mut seen)).await);
        assert!(!poll_fn(|cx| receiving.poll_packet(cx, &mut buffer, &mut seen)).await);
    }

    #[test]
    fn who_is_gone_takes_nothing() {
        let (sending, receiving) = pair().expect("a pair");
        drop(receiving);
        assert!(!Sending::from(sending).pass_on(&RecvMeta::default(), b"abc"));
    }
}
