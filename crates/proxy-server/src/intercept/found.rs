//! `Found`: what an origin server showed, as far as a made certificate is like it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

/// Names that are taken over: a certificate with more is that of a large network, and clients ask
/// for one at a time.
const MAX_NAMES: usize = 100;

/// What is known of the certificate of an origin server. Empty: nothing, because it was not
/// verified; a certificate like it has the name of the host alone.
///
/// Addresses inside of certificates (of lists of revocation, of OCSP, of issuers) are not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Found {
    /// Names and addresses it is for, at most 100.
    pub names: Vec<String>,
    /// From when until when it holds.
    pub holds: Option<(SystemTime, SystemTime)>,
}

impl Found {
    /// What a certificate that was verified says. Empty where it can not be read.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
            return Self::default();
        };
        let validity = parsed.validity();
        let holds = (system_time(validity.not_before), system_time(validity.not_after));
        let names = match parsed.subject_alternative_name() {
            Ok(Some(names)) => {
                names.value.general_names.iter().filter_map(name).take(MAX_NAMES).collect()
            }
            _ => Vec::new(),
        };
        Self { names, holds: Some(holds) }
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => {
                <[u8; 4]>::try_from(*bytes).ok().map(|own| std::net::IpAddr::from(own).to_string())
            }
            16 => {
                <[u8; 16]>::try_from(*bytes).ok().map(|own| std::net::IpAddr::from(own).to_string())
            }
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn system_time(time: ASN1Time) -> SystemTime {
    // Before 1970 nothing was issued.
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}
