//! `CertificateStore`: which certificate is shown to whom.

use std::collections::HashMap;
use std::sync::Arc;

use proxy_core::CertificateNames;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Certificate;

/// What becomes of a client that asks for a name which no certificate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UnknownNames {
    /// It is shown the first certificate. Default.
    #[default]
    Default,
    /// Its handshake is refused (`unrecognized_name`, RFC 6066 section 3).
    Refuse,
}

/// Certificates by the names that they are good for: the name itself first, then a `*` in place of
/// its first label. Of several for a name the first whose key the client understands is shown.
#[derive(Debug)]
pub struct CertificateStore {
    certificates: Vec<Certificate>,
    exact: HashMap<Box<str>, Vec<usize>>,
    /// By what follows `*.`.
    wildcards: HashMap<Box<str>, Vec<usize>>,
    unknown: UnknownNames,
}

impl CertificateStore {
    /// A store of these; the first is shown to clients that ask for no name.
    pub fn new(certificates: Vec<Certificate>, unknown: UnknownNames) -> Self {
        let (mut exact, mut wildcards) = (HashMap::new(), HashMap::new());
        for (at, certificate) in certificates.iter().enumerate() {
            for name in &certificate.names.dns {
                let (map, name): (&mut HashMap<Box<str>, Vec<usize>>, &str) =
                    match name.strip_prefix("*.") {
                        Some(parent) => (&mut wildcards, parent),
                        None => (&mut exact, name),
                    };
                map.entry(name.into()).or_default().push(at);
            }
        }
        Self { certificates, exact, wildcards, unknown }
    }

    /// What it holds.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The names of the certificate that a client is shown which asks for this one; none where it
    /// is refused.
    pub fn shown_for(&self, name: Option<&str>) -> Option<Arc<CertificateNames>> {
        let name = name.map(str::to_ascii_lowercase);
        self.find(name.as_deref(), &[]).map(|certificate| Arc::clone(&certificate.names))
    }

    /// The certificate for a name in lower case; none where the client is refused.
    pub(super) fn find(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<&Certificate> {
        let named = name.and_then(|name| {
            self.exact.get(name).or_else(|| {
                let (_, parent) = name.split_once('.')?;
                self.wildcards.get(parent)
            })
        });
        match (named, name) {
            (Some(named), _) => self.understood(named.iter().copied(), schemes),
            (None, Some(_)) if self.unknown == UnknownNames::Refuse => None,
            // Those for the same names as the first are as good as it is.
            (None, _) => {
                let first = &self.certificates.first()?.names;
                let same = |at: &usize| self.certificates[*at].names == *first;
                self.understood((0..self.certificates.len()).filter(same), schemes)
            }
        }
    }

    /// The first whose key can sign as the client asks. Where there is none, the first: the
    /// handshake then fails with the right alert.
    fn understood(
        &self,
        candidates: impl Iterator<Item = usize>,
        schemes: &[SignatureScheme],
    ) -> Option<&Certificate> {
        let mut first = None;
        for at in candidates {
            let certificate = &self.certificates[at];
            if certificate.key.key.choose_scheme(schemes).is_some() {
                return Some(certificate);
            }
            first.get_or_insert(certificate);
        }
        first
    }

    pub(super) fn for_hello(&self, hello: &ClientHello<'_>) -> Option<&Certificate> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        self.find(name.as_deref(), hello.signature_schemes())
    }

    /// The names of the certificate that a hello is answered with.
    pub(super) fn names_for(&self, hello: &ClientHello<'_>) -> Option<Arc<CertificateNames>> {
        self.for_hello(hello).map(|certificate| Arc::clone(&certificate.names))
    }
}

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.for_hello(&hello).map(|certificate| Arc::clone(&certificate.key))
    }
}

#[cfg(test)]
mod tests;
