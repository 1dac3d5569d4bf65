//! `Authority`: the certificate and key by which interception signs.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::found::{Found, system_time};
use crate::tls::Certificate;

/// The longest that a made certificate holds: clients refuse public ones of more (CA/Browser Forum
/// baseline requirements, section 6.3.2).
const LONGEST: Duration = Duration::from_secs(397 * 24 * 3600);
/// How long before now a certificate begins, for clients whose clocks are late.
const SLACK: Duration = Duration::from_secs(24 * 3600);

/// What an authority to be made is like.
#[derive(Clone, Debug)]
pub struct NewAuthority {
    /// Its name, as users see it in their browser. Default: `proxyd interception`.
    pub name: String,
    /// How long it holds. Default: 10 years.
    pub lifetime: Duration,
    /// Where not empty, the only domains (with all below them) it may sign for (RFC 5280 section
    /// 4.2.1.10): who gets hold of the key gets hold of no other name.
    pub only: Vec<String>,
}

impl Default for NewAuthority {
    fn default() -> Self {
        Self {
            name: "proxyd interception".to_owned(),
            lifetime: Duration::from_secs(10 * 365 * 24 * 3600),
            only: Vec::new(),
        }
    }
}

/// An authority that was made, in PEM.
#[derive(Clone)]
pub struct MadeAuthority {
    /// The certificate, for the clients.
    pub certificate: String,
    /// The key, for nobody.
    pub key: String,
}

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The certificate could not be read.
    #[error("no certificate in PEM that can be read")]
    Certificate,
    /// The key could not be read, or is of a kind that is not supported.
    #[error("no key in PEM that can be used")]
    Key,
    /// They do not belong together.
    #[error("the key is not that of the certificate")]
    Mismatch,
    /// It is the certificate of a server.
    #[error("the certificate is not that of an authority that may sign certificates")]
    NoAuthority,
    /// Its time is over, or has not begun.
    #[error("the certificate does not hold now")]
    Expired,
    /// A name can not stand in a certificate.
    #[error("`{0}` can not stand in a certificate")]
    Name(String),
    /// Signing failed.
    #[error("signing failed: {0}")]
    Signing(String),
}

impl NewAuthority {
    /// Makes a key (ECDSA with P-256) and a certificate that holds from now on.
    ///
    /// # Errors
    /// A name can not stand in a certificate.
    pub fn make(&self, now: SystemTime) -> Result<MadeAuthority, AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&self.name);
        // Path length 0: it signs servers, and no authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (now - SLACK).into();
        params.not_after = (now + self.lifetime).into();
        params.serial_number = Some(serial()?);
        if !self.only.is_empty() {
            if let Some(bad) = self.only.iter().find(|name| !is_domain(name)) {
                return Err(AuthorityError::Name(bad.clone()));
            }
            let names = self.only.iter().map(|name| GeneralSubtree::DnsName(name.clone()));
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: names.collect(),
                // Names alone would leave every address free.
                excluded_subtrees: vec![
                    GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
                    GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
                ],
            });
        }
        let key = KeyPair::generate().map_err(signing)?;
        let certificate = params.self_signed(&key).map_err(signing)?;
        Ok(MadeAuthority { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// Signs certificates for the names that are intercepted.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    holds: (SystemTime, SystemTime),
    /// The domains it may sign for; none: all.
    only: Option<Vec<String>>,
    /// What vouches for it, in PEM, where that is not itself: clients may know only the root.
    chain: String,
    /// One key for all leaves: making one takes longer than signing.
    leaf_key: KeyPair,
}

impl Authority {
    /// An authority from PEM.
    ///
    /// # Errors
    /// They can not be read, do not belong together, or do not make an authority now.
    pub fn load(certificate: &str, key: &str, now: SystemTime) -> Result<Self, AuthorityError> {
        let pem = x509_parser::pem::parse_x509_pem(certificate.as_bytes());
        let (_, pem) = pem.map_err(|_| AuthorityError::Certificate)?;
        let der = CertificateDer::from(pem.contents);
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|_| AuthorityError::Certificate)?;
        let key = KeyPair::from_pem(key).map_err(|_| AuthorityError::Key)?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(AuthorityError::Mismatch);
        }
        let signs = match parsed.key_usage() {
            Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
            Err(_) => false,
        };
        if !parsed.is_ca() || !signs {
            return Err(AuthorityError::NoAuthority);
        }
        let validity = parsed.validity();
        let holds = (system_time(validity.not_before), system_time(validity.not_after));
        if now < holds.0 || now >= holds.1 {
            return Err(AuthorityError::Expired);
        }
        let only = permitted(&parsed);
        let is_root = parsed.issuer() == parsed.subject();
        let chain = if is_root { String::new() } else { certificate.to_owned() };
        let issuer =
            Issuer::from_ca_cert_der(&der, key).map_err(|_| AuthorityError::Certificate)?;
        let leaf_key = KeyPair::generate().map_err(signing)?;
        Ok(Self { issuer, certificate: der, holds, only, chain, leaf_key })
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Until when it holds.
    pub fn holds_until(&self) -> SystemTime {
        self.holds.1
    }

    /// Whether it may sign for a host, a name or an address without brackets.
    pub fn permits(&self, host: &str) -> bool {
        let Some(only) = &self.only else { return true };
        // A constraint on names says nothing that an address could keep to.
        if host.parse::<IpAddr>().is_ok() {
            return false;
        }
        let host = host.to_ascii_lowercase();
        only.iter().any(|domain| {
            let rest = host.strip_suffix(domain.trim_start_matches('.'));
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    /// Whether it may sign for something that is a domain or below it.
    pub fn permits_within(&self, domain: &str) -> bool {
        let below = |own: &String| own.trim_start_matches('.').ends_with(&format!(".{domain}"));
        self.permits(domain) || self.only.iter().flatten().any(below)
    }

    /// A certificate for a host, like the one that was found at the origin server.
    ///
    /// # Errors
    /// The host can not stand in a certificate, or signing failed.
    pub fn sign(
        &self,
        host: &str,
        found: &Found,
        now: SystemTime,
    ) -> Result<Certificate, AuthorityError> {
        if now >= self.holds.1 {
            return Err(AuthorityError::Expired);
        }
        let mut names = vec![san(host)?];
        for name in found.names.iter().filter(|name| self.permits(name)) {
            // What can not be written again is left out: the host itself stands there already.
            names.extend(san(name).ok().filter(|name| !names.contains(name)));
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(host);
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial()?);
        let (from, until) = found.holds.unwrap_or((now - SLACK, now + LONGEST));
        let until = until.min(self.holds.1).min(now + LONGEST);
        // Clients judge the whole span, not what is left of it.
        params.not_before = from.max(self.holds.0).max(until - LONGEST).into();
        params.not_after = until.into();
        let leaf = params.signed_by(&self.leaf_key, &self.issuer).map_err(signing)?;
        let key = self.leaf_key.serialize_pem();
        let chain = leaf.pem() + &self.chain;
        Certificate::from_pem(chain.as_bytes(), key.as_bytes(), None).map_err(signing)
    }
}

/// The domains of the permitted subtrees (RFC 5280 section 4.2.1.10); none: no constraint.
fn permitted(certificate: &X509Certificate<'_>) -> Option<Vec<String>> {
    let constraints = certificate.extensions().iter().find_map(|extension| {
        match extension.parsed_extension() {
            ParsedExtension::NameConstraints(own) => own.permitted_subtrees.as_ref(),
            _ => None,
        }
    })?;
    let domain = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    Some(constraints.iter().filter_map(|subtree| domain(&subtree.base)).collect())
}

fn san(host: &str) -> Result<SanType, AuthorityError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    if !is_domain(host.strip_prefix("*.").unwrap_or(host)) {
        return Err(AuthorityError::Name(host.to_owned()));
    }
    let name = host.to_ascii_lowercase();
    name.try_into().map(SanType::DnsName).map_err(|_| AuthorityError::Name(host.to_owned()))
}

/// A name of the DNS, in letters, digits, hyphens and the underscores that some have.
fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(plain)
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// A common name has at most 64 characters (RFC 5280 appendix A): a longer one is left out.
fn common_name(name: &str) -> DistinguishedName {
    let mut own = DistinguishedName::new();
    if name.chars().count() <= 64 {
        own.push(DnType::CommonName, name);
    }
    own
}

/// 16 random bytes: clients refuse two certificates of one issuer with the same number.
fn serial() -> Result<SerialNumber, AuthorityError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| AuthorityError::Signing(error.to_string()))?;
    // Positive, and of that length.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn signing(error: impl std::fmt::Display) -> AuthorityError {
    AuthorityError::Signing(error.to_string())
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("only", &self.only).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for MadeAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeAuthority").finish_non_exhaustive()
    }
}
