//! Who a client is, read from the certificate that was verified.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use proxy_core::ClientCertificate;
use proxy_core::tls::ForwardedCertificate;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use super::names;

/// Bytes of a chain that upstreams are told; a longer one is left out.
const CHAIN_LIMIT: usize = 16 * 1024;

/// `chain`: as the client sent it, its own certificate first. `None` where that can not be read:
/// what rustls has verified, can.
pub(super) fn of(chain: &[CertificateDer<'_>], forward: bool) -> Option<ClientCertificate> {
    let own = chain.first()?;
    let (_, parsed) = X509Certificate::from_der(own).ok()?;
    Some(ClientCertificate {
        subject: name(parsed.subject()).into(),
        issuer: name(parsed.issuer()).into(),
        serial: hex(parsed.raw_serial()),
        fingerprint: hex(&Sha256::digest(own)),
        names: names::texts(&parsed),
        forwarded: forward.then(|| forwarded(own, &chain[1..])).flatten(),
    })
}

/// A distinguished name as text (RFC 4514): the last part first, and nothing in a value that could be
/// taken for another part.
fn name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|rdn| {
            let attributes = rdn.iter().map(|attribute| {
                let oid = attribute.attr_type();
                let key = oid2abbrev(oid, oid_registry())
                    .map_or_else(|_| oid.to_id_string(), str::to_owned);
                match attribute.as_str() {
                    Ok(value) => format!("{key}={}", escaped(value)),
                    Err(_) => format!("{key}=#{}", hex(attribute.as_slice())),
                }
            });
            attributes.collect::<Vec<_>>().join("+")
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

/// RFC 4514 section 2.4.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (at, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', c]),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            '#' if at == 0 => text.push_str("\\#"),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\{byte:02x}");
                }
            }
            c => text.push(c),
        }
    }
    text
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
