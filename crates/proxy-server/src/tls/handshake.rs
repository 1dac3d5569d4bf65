//! One handshake, and what was agreed upon in it.

use std::io;
use std::sync::Arc;

use http::StatusCode;
use proxy_core::{CertificateNames, TlsInfo};
use rustls::server::{Acceptor, ClientHello};
use rustls::{
    AlertDescription, CertificateError, HandshakeKind, InvalidMessage, PeerIncompatible,
    ServerConnection,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::edge::{State, TlsEdge};
use super::{identity, names};
use crate::prefixed::Prefixed;
use crate::transport::Transport;

/// A fatal `unrecognized_name` alert in a record of its own (RFC 8446 sections 5.1 and 6).
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];
/// The content type of a record that holds a handshake message.
const HANDSHAKE: u8 = 22;

/// A handshake that did not come to its end.
pub(crate) struct Failed<T> {
    /// Why, as a token.
    pub(crate) reason: &'static str,
    /// The connection, where the client speaks HTTP in clear text and can be told so.
    pub(crate) clear_text: Option<T>,
}

impl<T> From<&'static str> for Failed<T> {
    fn from(reason: &'static str) -> Self {
        Self { reason, clear_text: None }
    }
}

/// Does the handshake. The time for it is for the caller to limit.
pub(crate) async fn accept<T: Transport>(
    mut io: Prefixed<T>,
    edge: &TlsEdge,
) -> Result<(TlsStream<Prefixed<T>>, TlsInfo), Failed<Prefixed<T>>> {
    match first_byte(&mut io).await {
        Some(HANDSHAKE) => {}
        Some(b'A'..=b'Z' | b'a'..=b'z') => {
            return Err(Failed { reason: "clear_text", clear_text: Some(io) });
        }
        Some(_) => return Err("malformed".into()),
        None => return Err("closed".into()),
    }
    let mut start = LazyConfigAcceptor::new(Acceptor::default(), io)
        .await
        .map_err(|error| Failed::from(reason(&error)))?;
    // Until its hello is whole a client costs no more than a silent one.
    let Ok(_place) = edge.places.acquire().await else { return Err("limit".into()) };
    let state = edge.state();
    let Some(shown) = state.store.names_for(&start.client_hello()) else {
        let _ = start.io.write_all(UNRECOGNIZED_NAME).await;
        let _ = start.io.shutdown().await;
        return Err("unknown_name".into());
    };
    let server_name = server_name(&start.client_hello());
    let stream = start
        .into_stream(Arc::clone(&state.config))
        .await
        .map_err(|error| Failed::from(reason(&error)))?;
    let info = describe(stream.get_ref().1, server_name, shown, &state);
    Ok((stream, info))
}

/// What the client wants to speak is clear from its first byte.
async fn first_byte<T: AsyncRead + AsyncWrite + Unpin>(io: &mut Prefixed<T>) -> Option<u8> {
    if io.prefix().is_empty() {
        let mut space = bytes::BytesMut::with_capacity(2048);
        let read = io.read_buf(&mut space).await;
        if !matches!(read, Ok(1..)) {
            return None;
        }
        *io.prefix() = space;
    }
    io.prefix().first().copied()
}

fn server_name(hello: &ClientHello<'_>) -> Option<Box<str>> {
    hello.server_name().map(|name| name.to_ascii_lowercase().into())
}

fn describe(
    connection: &ServerConnection,
    server_name: Option<Box<str>>,
    shown: Arc<CertificateNames>,
    state: &State,
) -> TlsInfo {
    let client = connection.peer_certificates();
    TlsInfo {
        version: names::version(connection.protocol_version()),
        cipher: connection
            .negotiated_cipher_suite()
            .map_or("unknown", |suite| names::cipher(suite.suite())),
        group: connection.negotiated_key_exchange_group().and_then(|group| group.name().as_str()),
        alpn: match connection.alpn_protocol() {
            Some(b"h2") => Some("h2"),
            Some(b"http/1.1") => Some("http/1.1"),
            _ => None,
        },
        server_name,
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        names: shown,
        client: client.and_then(|chain| identity::of(chain, state.forward)).map(Arc::new),
    }
}

/// The word for a failure, of which there are few: it is a label of metrics.
fn reason(error: &io::Error) -> &'static str {
    use rustls::Error;
    let found = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(error) = found else { return "closed" };
    match error {
        Error::NoCertificatesPresented => "client_certificate_missing",
        Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "client_certificate_expired"
            }
            CertificateError::Revoked => "client_certificate_revoked",
            CertificateError::UnknownIssuer => "client_certificate_unknown_issuer",
            _ => "client_certificate_invalid",
        },
        Error::InvalidCertRevocationList(_) => "client_certificate_invalid",
        Error::NoApplicationProtocol => "no_common_protocol",
        Error::PeerIncompatible(error) => match error {
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic => "no_common_version",
            _ => "no_common_cipher",
        },
        Error::AlertReceived(alert) => match alert {
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired => "certificate_refused",
            _ => "alert_received",
        },
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "malformed",
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => "malformed",
        Error::PeerMisbehaved(_) | Error::DecryptError => "misbehaved",
        _ => "other",
    }
}

/// What a client is told that speaks HTTP in clear text to a TLS port.
pub(crate) const CLEAR_TEXT: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "clear_text_to_tls");
