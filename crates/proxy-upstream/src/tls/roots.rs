//! Who may vouch for an upstream's servers.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Certificates that may vouch for servers. A clone is the same set.
#[derive(Clone, Debug)]
pub struct Roots(pub(super) Arc<RootCertStore>);

/// Why a file has no roots.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// The file holds something else.
    #[error("there is no certificate in PEM form in it")]
    NoCertificate,
    /// A certificate that can not vouch for anybody.
    #[error("its certificate number {number} can not be a CA: {source}")]
    Unusable {
        /// Counted from 1.
        number: usize,
        /// Why.
        source: rustls::Error,
    },
}

impl Roots {
    /// Nobody.
    pub fn none() -> Self {
        Self(Arc::new(RootCertStore::empty()))
    }

    /// Those of the operating system (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured); Mozilla's,
    /// as they were when this was built, where the system has none.
    pub fn system() -> Self {
        let mut roots = RootCertStore::empty();
        // Some systems have certificates that are not sound: the others are good all the same.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Self(Arc::new(roots))
    }

    /// Those in a file, in PEM form, and no others.
    ///
    /// # Errors
    /// There is none, or one that can not vouch.
    pub fn from_pem(pem: &[u8]) -> Result<Self, RootsError> {
        let mut roots = RootCertStore::empty();
        for (at, der) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let der = der.map_err(|_| RootsError::NoCertificate)?;
            let unusable = |source| RootsError::Unusable { number: at + 1, source };
            roots.add(der).map_err(unusable)?;
        }
        match roots.is_empty() {
            true => Err(RootsError::NoCertificate),
            false => Ok(Self(Arc::new(roots))),
        }
    }
}
