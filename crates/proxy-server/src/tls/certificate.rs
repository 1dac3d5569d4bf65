//! `Certificate`: a chain with its key, and whether they are good for each other.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proxy_core::CertificateNames;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::names;

/// A certificate with those that vouch for it, and its key. A clone is the same certificate.
#[derive(Clone)]
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) names: Arc<CertificateNames>,
    not_before: SystemTime,
    not_after: SystemTime,
    self_signed: bool,
}

/// Why a certificate can not be shown to anybody.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The file holds something else.
    #[error("there is no certificate in PEM form in it")]
    NoCertificate,
    /// What stands between the PEM lines is no certificate.
    #[error("its certificate number {number} can not be read")]
    Unreadable {
        /// Counted from 1.
        number: usize,
    },
    /// The file of the key holds something else.
    #[error(
        "there is no private key in PEM form in the key file; is it the certificate's file, \
         or has the key a password?"
    )]
    NoKey,
    /// The key is of a kind that is not supported.
    #[error("the key can not be used: {0}")]
    UnusableKey(rustls::Error),
    /// The key is of another certificate.
    #[error(
        "the key is not the one of the first certificate, which is for `{subject}`; \
         the server's own certificate comes first, then those that vouch for it"
    )]
    OtherKey {
        /// Whom the first certificate is for.
        subject: String,
    },
    /// Each certificate must be vouched for by the next (RFC 8446 section 4.4.2).
    #[error(
        "its certificate number {number} is by `{issuer}`, but the next one is `{next}`; \
         each must be followed by the one that vouches for it"
    )]
    Order {
        /// Counted from 1.
        number: usize,
        /// Who made it.
        issuer: String,
        /// Who follows.
        next: String,
    },
    /// A staple is a DER structure.
    #[error("the OCSP response is not in DER form")]
    Staple,
}

/// What is wrong with a certificate that can be shown all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateDoubt {
    /// It was good until then.
    Expired(SystemTime),
    /// It is good for no longer than so.
    ExpiresSoon(Duration),
    /// It becomes good then.
    NotYet(SystemTime),
    /// It has no names, so that no client that verifies it can be content.
    NoNames,
    /// Nobody vouches for it but itself.
    SelfSigned,
}

/// A certificate that ends within this time is worth a warning.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

impl fmt::Display for CertificateDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(at) => write!(f, "has expired on {}", httpdate::fmt_http_date(*at)),
            Self::ExpiresSoon(left) => {
                let hours = left.as_secs() / 3600;
                match hours / 24 {
                    0 | 1 => write!(f, "expires in {hours} hours"),
                    days => write!(f, "expires in {days} days"),
                }
            }
            Self::NotYet(at) => write!(f, "is not valid before {}", httpdate::fmt_http_date(*at)),
            Self::NoNames => f.write_str("has no subject alternative name: no client takes it"),
            Self::SelfSigned => f.write_str("is self-signed: only clients that know it take it"),
        }
    }
}

impl Certificate {
    /// Reads a chain, the server's own certificate first, and the key of that one, both in PEM
    /// form. `staple`: an OCSP response in DER form that clients get along (RFC 6066 section 8).
    ///
    /// # Errors
    /// What keeps the three from being used together.
    pub fn from_pem(
        chain: &[u8],
        key: &[u8],
        staple: Option<Vec<u8>>,
    ) -> Result<Self, CertificateError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        Self::new(chain, key, staple)
    }

    /// The same from DER.
    ///
    /// # Errors
    /// What keeps the three from being used together.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        staple: Option<Vec<u8>>,
    ) -> Result<Self, CertificateError> {
        let (names, not_before, not_after, subject, self_signed) = {
            let parsed = parse(&chain)?;
            let own = parsed.first().ok_or(CertificateError::NoCertificate)?;
            in_order(&parsed)?;
            let validity = own.validity();
            (
                names::of(own),
                time(validity.not_before.timestamp()),
                time(validity.not_after.timestamp()),
                own.subject().to_string(),
                own.subject().as_raw() == own.issuer().as_raw(),
            )
        };
        if staple.as_ref().is_some_and(|staple| staple.first() != Some(&0x30)) {
            return Err(CertificateError::Staple);
        }
        let key = aws_lc_rs::default_provider()
            .key_provider
            .load_private_key(key)
            .map_err(CertificateError::UnusableKey)?;
        let mut certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
                return Err(CertificateError::OtherKey { subject });
            }
            Err(error) => return Err(CertificateError::UnusableKey(error)),
        }
        certified.ocsp = staple;
        let (key, names) = (Arc::new(certified), Arc::new(names));
        Ok(Self { key, names, not_before, not_after, self_signed })
    }

    /// The names that it is good for.
    pub fn names(&self) -> &Arc<CertificateNames> {
        &self.names
    }

    /// Until when it is good.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// What is wrong with it at this time.
    pub fn doubts(&self, now: SystemTime) -> Vec<CertificateDoubt> {
        let mut doubts = Vec::new();
        match self.not_after.duration_since(now) {
            Err(_) => doubts.push(CertificateDoubt::Expired(self.not_after)),
            Ok(left) if left < SOON => doubts.push(CertificateDoubt::ExpiresSoon(left)),
            Ok(_) => {}
        }
        if now < self.not_before {
            doubts.push(CertificateDoubt::NotYet(self.not_before));
        }
        if self.names.dns.is_empty() && self.names.addresses.is_empty() {
            doubts.push(CertificateDoubt::NoNames);
        }
        if self.self_signed {
            doubts.push(CertificateDoubt::SelfSigned);
        }
        doubts
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("names", &self.names).finish_non_exhaustive()
    }
}

fn parse<'a>(
    chain: &'a [CertificateDer<'static>],
) -> Result<Vec<X509Certificate<'a>>, CertificateError> {
    let read = |(at, der): (usize, &'a CertificateDer<'static>)| {
        X509Certificate::from_der(der)
            .map(|(_, certificate)| certificate)
            .map_err(|_| CertificateError::Unreadable { number: at + 1 })
    };
    chain.iter().enumerate().map(read).collect()
}

fn in_order(chain: &[X509Certificate<'_>]) -> Result<(), CertificateError> {
    for (at, pair) in chain.windows(2).enumerate() {
        if pair[0].issuer().as_raw() != pair[1].subject().as_raw() {
            return Err(CertificateError::Order {
                number: at + 1,
                issuer: pair[0].issuer().to_string(),
                next: pair[1].subject().to_string(),
            });
        }
    }
    Ok(())
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests;
