//! How a connection ends: the edge's own pages, and closing without destroying what was sent.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Version};
use proxy_core::Refusal;
use proxy_core::error_pages::Page;
use proxy_core::framing::{write_fields, write_status_line};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::end::Refused;

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
    let mut out = BytesMut::with_capacity(512 + content.len());
    write_status_line(&mut out, Version::HTTP_11, refused.status, None);
    fields.insert(CONTENT_LENGTH, content.len().into());
    write_fields(&mut out, &fields);
    out.put_slice(b"\r\n");
    out.put_slice(&content);
    out.freeze()
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
