//! CONNECT (RFC 9110 section 9.3.6), as a client of an HTTP proxy.

use std::io;

use http::HeaderValue;
use memchr::memmem;
use proxy_core::{ErrorKind, ProxyError};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::{DialedStream, Way};
use super::{Beyond, gone, nonsense, refused, wrong_credentials};

/// Bytes that the head of an answer may have.
const MAX_HEAD: usize = 16 * 1024;
/// Interim answers before the final one.
const MAX_INTERIM: usize = 8;

/// Asks for a tunnel. What the destination says through it is still in the stream afterwards.
pub(super) async fn ask(
    stream: &mut DialedStream,
    beyond: &Beyond<'_>,
    basic: Option<&HeaderValue>,
    via: Option<&HeaderValue>,
) -> Result<(), ProxyError> {
    stream.write_all(&request(beyond, basic, via)).await.map_err(gone)?;
    stream.flush().await.map_err(gone)?;
    for _ in 0..=MAX_INTERIM {
        let head = read_head(stream).await.map_err(gone)?;
        match status(&head).ok_or_else(nonsense)? {
            // A protocol that nobody asked for would follow.
            101 => return Err(nonsense()),
            100..=199 => {}
            200..=299 => return Ok(()),
            407 => return Err(wrong_credentials()),
            408 | 504 => return Err(refused(ErrorKind::ConnectionTimeout, "parent_timeout")),
            _ => return Err(refused(ErrorKind::ConnectionRefused, "parent_refused")),
        }
    }
    Err(nonsense())
}

fn request(beyond: &Beyond<'_>, basic: Option<&HeaderValue>, via: Option<&HeaderValue>) -> Vec<u8> {
    let mut head = format!("CONNECT {beyond} HTTP/1.1\r\nHost: {beyond}\r\n").into_bytes();
    for (name, value) in [("Proxy-Authorization", basic), ("Via", via)] {
        if let Some(value) = value {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Reads the head of an answer, and not a byte more: what follows is not ours.
async fn read_head(stream: &mut DialedStream) -> io::Result<Vec<u8>> {
    match &mut stream.way {
        Way::Plain(socket) => peek_head(socket).await,
        Way::Tls(session) => take_head(session).await,
    }
}

/// The same of what was decrypted already, where a byte costs no system call.
async fn take_head(session: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(session.read_u8().await?);
    }
    Ok(head)
}

async fn peek_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut space = [0; 1024];
    loop {
        let there = stream.peek(&mut space).await?;
        if there == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = head.len();
        head.extend_from_slice(&space[..there]);
        let from = before.saturating_sub(3);
        let end = memmem::find(&head[from..], b"\r\n\r\n").map(|at| from + at + 4);
        let take = end.map_or(there, |end| end - before);
        stream.read_exact(&mut space[..take]).await?;
        head.truncate(before + take);
        if end.is_some() {
            return Ok(head);
        }
        if head.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// The status of an answer (RFC 9112 section 4).
fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let [b'0' | b'1', b' ', digits @ ..] = rest else { return None };
    let (digits, after) = digits.split_at_checked(3)?;
    if !matches!(after.first(), Some(b' ' | b'\r')) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (100..600).contains(&status).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::HostKind;

    #[test]
    fn an_answer_is_a_status_line_of_http_1() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Some(200)),
            ("HTTP/1.0 200\r\n\r\n", Some(200)),
            ("HTTP/1.1 407 \r\n\r\n", Some(407)),
            ("HTTP/2 200 OK\r\n\r\n", None),
            ("HTTP/1.1 2000 OK\r\n\r\n", None),
            ("HTTP/1.1 20\r\n\r\n", None),
            ("HTTP/1.1 +20 \r\n\r\n", None),
            ("HTTP/1.1 999 \r\n\r\n", None),
            ("SSH-2.0-x\r\n\r\n", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head}");
        }
    }

    #[test]
    fn a_request_names_the_destination_twice_and_nothing_that_it_need_not() {
        let beyond = Beyond { host: HostKind::Address("2001:db8::1".parse().unwrap()), port: 443 };
        let text = |basic: Option<&str>, via: Option<&str>| {
            let value = |text: &str| HeaderValue::try_from(text).unwrap();
            let (basic, via) = (basic.map(value), via.map(value));
            String::from_utf8(request(&beyond, basic.as_ref(), via.as_ref())).unwrap()
        };
        let bare = "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n";
        assert_eq!(text(None, None), format!("{bare}\r\n"));
        let more = "Proxy-Authorization: Basic x\r\nVia: 1.1 a\r\n";
        assert_eq!(text(Some("Basic x"), Some("1.1 a")), format!("{bare}{more}\r\n"));
    }
}
