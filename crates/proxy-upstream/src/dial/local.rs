//! Sockets in the file system.

use std::io;
use std::path::Path;

use proxy_core::{ErrorKind, ProxyError};
use tokio::net::UnixStream;

use super::attempt::failed;

/// Connects to a socket that the operator named. Whoever may use it is for the file system to say.
pub(crate) async fn connect(path: &Path) -> Result<UnixStream, ProxyError> {
    UnixStream::connect(path).await.map_err(|error| {
        let kind = match error.kind() {
            // Too many wait to be accepted; there is no waiting for a place.
            io::ErrorKind::WouldBlock => ErrorKind::ConnectionTimeout,
            io::ErrorKind::PermissionDenied => ErrorKind::DestinationIpUnroutable,
            _ => ErrorKind::ConnectionRefused,
        };
        failed(kind, "the socket can not be connected to").source(error)
    })
}
