//! SOCKS5 (RFC 1928), with names and passwords (RFC 1929), as a client.

use std::net::IpAddr;

use proxy_core::{ErrorKind, ProxyError};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Beyond, ParentCredentials, gone, nonsense, refused, wrong_credentials};
use crate::guard::HostKind;

const VERSION: u8 = 5;
const NO_CREDENTIALS: u8 = 0;
const NAME_AND_PASSWORD: u8 = 2;
const CONNECT: u8 = 1;

/// Asks for a connection. Exactly the answer is read, so that what the destination says is still
/// there afterwards.
pub(super) async fn ask<T>(
    stream: &mut T,
    beyond: &Beyond<'_>,
    credentials: Option<&ParentCredentials>,
) -> Result<(), ProxyError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let method = if credentials.is_some() { NAME_AND_PASSWORD } else { NO_CREDENTIALS };
    // Only one is offered: credentials that are configured are not left out on the parent's word.
    stream.write_all(&[VERSION, 1, method]).await.map_err(gone)?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await.map_err(gone)?;
    match chosen {
        [VERSION, own] if own == method => {}
        [VERSION, _] => return Err(wrong_credentials()),
        _ => return Err(nonsense()),
    }
    if let Some(ParentCredentials { name, password }) = credentials {
        let mut message = vec![1];
        for part in [name, password] {
            message.push(u8::try_from(part.len()).map_err(|_| wrong_credentials())?);
            message.extend_from_slice(part.as_bytes());
        }
        stream.write_all(&message).await.map_err(gone)?;
        let mut verdict = [0; 2];
        stream.read_exact(&mut verdict).await.map_err(gone)?;
        if verdict[1] != 0 {
            return Err(wrong_credentials());
        }
    }
    stream.write_all(&request(beyond)?).await.map_err(gone)?;
    let mut reply = [0; 4];
    stream.read_exact(&mut reply).await.map_err(gone)?;
    let [VERSION, code, _, kind] = reply else { return Err(nonsense()) };
    if code != 0 {
        return Err(failure(code));
    }
    // The address that the parent speaks from says nothing to us, but is to be read.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await.map_err(gone)?),
        _ => return Err(nonsense()),
    };
    let mut bound = [0; 255 + 2];
    stream.read_exact(&mut bound[..length + 2]).await.map_err(gone)?;
    Ok(())
}

/// RFC 1928 section 4.
fn request(beyond: &Beyond<'_>) -> Result<Vec<u8>, ProxyError> {
    let mut message = vec![VERSION, CONNECT, 0];
    match &beyond.host {
        HostKind::Address(IpAddr::V4(ip)) => {
            message.push(1);
            message.extend_from_slice(&ip.octets());
        }
        HostKind::Address(IpAddr::V6(ip)) => {
            message.push(4);
            message.extend_from_slice(&ip.octets());
        }
        HostKind::Name(name) => {
            message.push(3);
            message.push(u8::try_from(name.len()).map_err(|_| nonsense())?);
            message.extend_from_slice(name.as_bytes());
        }
    }
    message.extend_from_slice(&beyond.port.to_be_bytes());
    Ok(message)
}

/// RFC 1928 section 6.
fn failure(code: u8) -> ProxyError {
    match code {
        3 | 4 => refused(ErrorKind::DestinationIpUnroutable, "parent_unroutable"),
        6 => refused(ErrorKind::ConnectionTimeout, "parent_timeout"),
        7 | 8 => nonsense(),
        _ => refused(ErrorKind::ConnectionRefused, "parent_refused"),
    }
}
