//! What a failed handshake means: the error types of RFC 9209 and a phrase for the log.

use std::io;

use proxy_core::{ErrorKind, ProxyError, Retry};
use rustls::{CertificateError, Error};

/// Nothing of a request was sent.
pub(super) fn of(error: io::Error) -> ProxyError {
    let (kind, detail) = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(error)) => {
            (ErrorKind::TlsCertificateError, certificate(error))
        }
        Some(Error::AlertReceived(_)) => {
            (ErrorKind::TlsAlertReceived, "the server refused the handshake")
        }
        Some(Error::NoApplicationProtocol) => {
            (ErrorKind::TlsProtocolError, "the server does not speak the protocol")
        }
        Some(Error::InvalidMessage(_)) => {
            (ErrorKind::TlsProtocolError, "what the server answered is not TLS")
        }
        Some(_) => (ErrorKind::TlsProtocolError, "the handshake failed"),
        None => (ErrorKind::ConnectionTerminated, "the connection broke in the handshake"),
    };
    ProxyError::new(kind).detail(detail).source(error).retry(Retry::NothingSent)
}

fn certificate(error: &CertificateError) -> &'static str {
    use CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => "its certificate has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "its certificate is not valid yet",
        E::UnknownIssuer => "nobody that is trusted vouches for its certificate",
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            "its certificate is for another name"
        }
        E::ApplicationVerificationFailure => "its key is not one that is pinned",
        E::BadSignature => "the signature of its certificate is wrong",
        E::Revoked => "its certificate was revoked",
        _ => "its certificate could not be verified",
    }
}
