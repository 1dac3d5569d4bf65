//! Closing a connection without destroying what was sent on it.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// A peer that still sends is read for this long, or until it closes (RFC 9112 section 9.6).
pub(crate) const LINGER: Duration = Duration::from_secs(2);
/// The same in bytes.
pub(crate) const LINGER_LIMIT: usize = 1024 * 1024;

/// Writes the last bytes and closes.
pub(crate) async fn send<T>(mut io: T, last: &[u8], write_timeout: Duration)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    if timeout(write_timeout, io.write_all(last)).await.is_ok_and(|r| r.is_ok()) {
        close(io, true).await;
    }
}

/// Closes. Where the peer is still sending, our side is closed first and the rest is read and
/// dropped for a while: a reset would destroy the answer on its way.
pub(crate) async fn close<T>(mut io: T, unread: bool)
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
