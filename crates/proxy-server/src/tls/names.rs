//! The names in a certificate, and the words for what was agreed upon.

use std::net::IpAddr;

use proxy_core::CertificateNames;
use rustls::{CipherSuite, ProtocolVersion};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

/// The alternative names of a certificate. Its common name is none: no client of today reads it
/// (RFC 9525 section 1.1).
pub(super) fn of(certificate: &X509Certificate<'_>) -> CertificateNames {
    let mut names = CertificateNames::default();
    for name in general_names(certificate) {
        match name {
            GeneralName::DNSName(name) => names.dns.push(name.to_ascii_lowercase().into()),
            GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
            _ => {}
        }
    }
    names
}

/// The alternative names of a certificate, as text.
pub(super) fn texts(certificate: &X509Certificate<'_>) -> Vec<Box<str>> {
    general_names(certificate)
        .filter_map(|name| match name {
            GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => {
                Some((*text).into())
            }
            GeneralName::IPAddress(bytes) => address(bytes).map(|a| a.to_string().into()),
            _ => None,
        })
        .collect()
}

fn general_names<'a>(
    certificate: &'a X509Certificate<'a>,
) -> impl Iterator<Item = &'a GeneralName<'a>> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    extension.into_iter().flat_map(|extension| &extension.value.general_names)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

pub(super) fn version(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "unknown",
    }
}

/// As the IANA registry of TLS cipher suites has it; rustls calls those of TLS 1.3 otherwise.
pub(super) fn cipher(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or("unknown"),
    }
}
