//! How a connection ends: the edge's own pages, and closing without destroying what was sent.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use proxy_core::Refusal;
use proxy_core::error_pages::Page;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::client_io::Refused;

/// A peer that still sends is read for this long, or until it closes (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);
/// The same in bytes.
const LINGER_LIMIT: usize = 1024 * 1024;

/// The whole response to a head that never became a request.
pub(super) fn page(refused: &Refused, proxy: &str) -> Bytes {
    let refusal = Refusal::new(refused.status, refused.reason).close();
    let page = Page { refusal: &refusal, id: None, show_rule: false };
    let content = page.write(false);
    let mut fields = HeaderMap::new();
    page.set_fields(&mut fields, false, proxy);
    let reason = refused.status.canonical_reason().unwrap_or("");
    let mut out = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-length: {}\r\n",
        refused.status.as_u16(),
        content.len()
    )
    .into_bytes();
    for (name, value) in &fields {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&content);
    Bytes::from(out)
}

/// Writes a last response and closes.
pub(super) async fn send<T>(mut io: T, response: &[u8], write_timeout: Duration)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    if timeout(write_timeout, io.write_all(response)).await.is_ok_and(|r| r.is_ok()) {
        close(io, true).await;
    }
}

/// Closes. Where the peer is still sending, our side is closed first and the rest is read and
/// dropped for a while: a reset would destroy the answer on its way.
pub(super) async fn close<T>(mut io: T, unread: bool)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let closed = timeout(LINGER, io.shutdown()).await.is_ok_and(|r| r.is_ok());
    if !unread || !closed {
        return;
    }
    let _ = timeout(LINGER, async {
        let mut space = vec![0; 4096];
        let mut dropped = 0;
        while let Ok(n) = io.read(&mut space).await {
            dropped += n;
            if n == 0 || dropped > LINGER_LIMIT {
                break;
            }
        }
    })
    .await;
}
