//! PROXY protocol, sending side: a connection begins with whom it is made for.
//!
//! Such a connection is one client's: it is for no other, so it is used once.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use proxy_core::{AddressPrivacy, ErrorKind, Exchange, ProxyError, Retry};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// What begins version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// How connections to an upstream begin.
#[derive(Clone, Debug)]
pub struct Announce {
    /// Version 2, the binary one; else version 1, a line of text.
    pub version_2: bool,
    /// The form in which the client's address is told. Where it is no address, nobody is named.
    pub privacy: AddressPrivacy,
}

impl Announce {
    /// Writes the header. A connection without an exchange is our own affair, a health check.
    pub(crate) async fn write<T: AsyncWrite + Unpin>(
        &self,
        stream: &mut T,
        exchange: Option<&Exchange>,
    ) -> Result<(), ProxyError> {
        let header = self.header(exchange.and_then(|exchange| self.ends(exchange)));
        stream.write_all(&header).await.map_err(|error| {
            ProxyError::new(ErrorKind::ConnectionTerminated).retry(Retry::NothingSent).source(error)
        })
    }

    /// The client's address, and the one that it reached. Its port is not known any more.
    fn ends(&self, exchange: &Exchange) -> Option<(IpAddr, SocketAddr)> {
        let client = exchange.client().view(&self.privacy).to_string().parse().ok()?;
        Some((client, exchange.connection().local?))
    }

    fn header(&self, ends: Option<(IpAddr, SocketAddr)>) -> Vec<u8> {
        let Some((client, local)) = ends else {
            return match self.version_2 {
                true => [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat(),
                false => b"PROXY UNKNOWN\r\n".to_vec(),
            };
        };
        let (client, reached) = (client.to_canonical(), local.ip().to_canonical());
        let mut header = SIGNATURE.to_vec();
        let port = local.port();
        match (client, reached) {
            (IpAddr::V4(client), IpAddr::V4(reached)) => {
                if !self.version_2 {
                    return format!("PROXY TCP4 {client} {reached} 0 {port}\r\n").into_bytes();
                }
                header.extend_from_slice(&[0x21, 0x11, 0, 12]);
                header.extend_from_slice(&client.octets());
                header.extend_from_slice(&reached.octets());
            }
            // One family for both.
            (client, reached) => {
                let (client, reached) = (wide(client), wide(reached));
                if !self.version_2 {
                    return format!("PROXY TCP6 {client} {reached} 0 {port}\r\n").into_bytes();
                }
                header.extend_from_slice(&[0x21, 0x21, 0, 36]);
                header.extend_from_slice(&client.octets());
                header.extend_from_slice(&reached.octets());
            }
        }
        header.extend_from_slice(&[0, 0]);
        header.extend_from_slice(&port.to_be_bytes());
        header
    }
}

fn wide(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version_2: bool, ends: Option<(&str, &str)>) -> Vec<u8> {
        let announce = Announce { version_2, privacy: AddressPrivacy::default() };
        announce.header(ends.map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap())))
    }

    #[test]
    fn version_1_is_a_line() {
        for (ends, expected) in [
            (Some(("192.0.2.1", "198.51.100.1:443")), "PROXY TCP4 192.0.2.1 198.51.100.1 0 443"),
            (
                Some(("::ffff:192.0.2.1", "[::ffff:1.2.3.4]:80")),
                "PROXY TCP4 192.0.2.1 1.2.3.4 0 80",
            ),
            (Some(("2001:db8::1", "[::1]:80")), "PROXY TCP6 2001:db8::1 ::1 0 80"),
            (Some(("2001:db8::1", "1.2.3.4:80")), "PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 0 80"),
            (None, "PROXY UNKNOWN"),
        ] {
            assert_eq!(String::from_utf8(header(false, ends)).unwrap(), format!("{expected}\r\n"));
        }
    }

    #[test]
    fn version_2_has_the_lengths_that_it_says() {
        let four = header(true, Some(("192.0.2.1", "198.51.100.1:443")));
        assert_eq!(four[12..16], [0x21, 0x11, 0, 12]);
        assert_eq!(four[16..], [192, 0, 2, 1, 198, 51, 100, 1, 0, 0, 1, 187]);
        let six = header(true, Some(("2001:db8::1", "[::1]:80")));
        assert_eq!((six[12..16].to_vec(), six.len()), (vec![0x21, 0x21, 0, 36], 16 + 36));
        assert_eq!(header(true, None)[12..], [0x20, 0, 0, 0]);
    }
}
