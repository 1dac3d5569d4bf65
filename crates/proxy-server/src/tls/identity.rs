//! Who a client is, read from the certificate that was verified.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use proxy_core::ClientCertificate;
use proxy_core::tls::ForwardedCertificate;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::names;

/// Bytes of a chain that upstreams are told; a longer one is left out.
const CHAIN_LIMIT: usize = 16 * 1024;

/// `chain`: as the client sent it, its own certificate first. `None` where that can not be read:
/// what rustls has verified, can.
pub(super) fn of(chain: &[CertificateDer<'_>], forward: bool) -> Option<ClientCertificate> {
    let own = chain.first()?;
    let (_, parsed) = X509Certificate::from_der(own).ok()?;
    Some(ClientCertificate {
        subject: parsed.subject().to_string().into(),
        issuer: parsed.issuer().to_string().into(),
        serial: hex(parsed.raw_serial()),
        fingerprint: hex(&Sha256::digest(own)),
        names: names::texts(&parsed),
        forwarded: forward.then(|| forwarded(own, &chain[1..])).flatten(),
    })
}

fn forwarded(own: &[u8], rest: &[CertificateDer<'_>]) -> Option<ForwardedCertificate> {
    let chain: Vec<String> = rest.iter().map(|der| item(der)).collect();
    let chain = chain.join(", ");
    let told = !chain.is_empty() && chain.len() <= CHAIN_LIMIT;
    Some(ForwardedCertificate {
        certificate: HeaderValue::try_from(item(own)).ok()?,
        chain: told.then(|| HeaderValue::try_from(chain).ok()).flatten(),
    })
}

/// A byte sequence (RFC 9651 section 3.3.5).
fn item(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

fn hex(bytes: &[u8]) -> Box<str> {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
        .into()
}
