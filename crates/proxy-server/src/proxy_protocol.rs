//! The PROXY protocol, versions 1 and 2, from trusted peers only.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// A header longer than this is refused: version 1 has at most 107 bytes; of version 2, addresses
/// and a handful of TLVs fit.
const LIMIT: usize = 4096;

/// What a header said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vouched {
    /// The connection is made for this client.
    Client {
        /// The client's address.
        source: SocketAddr,
        /// The address it reached.
        destination: SocketAddr,
    },
    /// The peer speaks for itself (`LOCAL`, `UNKNOWN`): a health check, as a rule.
    Peer,
}

/// The header is missing, malformed, too long or late.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoHeader;

/// Reads the header, leaving in `buffer` what was read behind it.
pub(crate) async fn read<T: AsyncRead + Unpin>(
    io: &mut T,
    buffer: &mut BytesMut,
    within: Duration,
) -> Result<Vouched, NoHeader> {
    timeout(within, async {
        loop {
            if let Some((vouched, len)) = parse(buffer)? {
                buffer.advance(len);
                return Ok(vouched);
            }
            if buffer.len() >= LIMIT || !matches!(io.read_buf(buffer).await, Ok(1..)) {
                return Err(NoHeader);
            }
        }
    })
    .await
    .unwrap_or(Err(NoHeader))
}

fn parse(bytes: &[u8]) -> Result<Option<(Vouched, usize)>, NoHeader> {
    // The signatures, so that another protocol is refused by its first bytes.
    let (v1, v2) = (b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n");
    let begins = |signature: &[u8]| bytes.iter().zip(signature).all(|(a, b)| a == b);
    if !begins(v1) && !begins(v2) {
        return Err(NoHeader);
    }
    match ProxyHeader::parse(bytes, ParseConfig::default()) {
        Ok((header, len)) => {
            let vouched = header.proxied_address().map_or(Vouched::Peer, |address| {
                Vouched::Client { source: address.source, destination: address.destination }
            });
            Ok(Some((vouched, len)))
        }
        Err(Error::BufferTooShort) => Ok(None),
        Err(_) => Err(NoHeader),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(input: &[u8]) -> (Result<Vouched, NoHeader>, BytesMut) {
        let mut buffer = BytesMut::new();
        let mut io = input;
        let vouched = read(&mut io, &mut buffer, Duration::from_secs(1)).await;
        (vouched, buffer)
    }

    #[tokio::test]
    async fn version_1_and_what_follows() {
        let (vouched, rest) = run(b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\nGET /").await;
        let expected = Vouched::Client {
            source: "192.0.2.7:4711".parse().expect("address"),
            destination: "192.0.2.8:80".parse().expect("address"),
        };
        assert_eq!((vouched, &rest[..]), (Ok(expected), &b"GET /"[..]));
        assert_eq!(run(b"PROXY UNKNOWN\r\n").await.0, Ok(Vouched::Peer));
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 5000]].concat();
        for input in
            [&b""[..], b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 x y 1 2\r\n", b"PROXY T", &long]
        {
            assert_eq!(run(input).await.0, Err(NoHeader), "{:?}", &input[..input.len().min(20)]);
        }
    }
}
