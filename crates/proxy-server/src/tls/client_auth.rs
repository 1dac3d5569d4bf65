//! Clients that show a certificate: who vouches for them, and who was revoked.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

/// Which certificates of clients are taken. A clone is the same.
#[derive(Clone, Debug)]
pub struct ClientAuth {
    verifier: Arc<dyn ClientCertVerifier>,
    pub(super) forward: bool,
}

/// Why clients could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientAuthError {
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
    /// The file holds something else.
    #[error("there is no certificate revocation list in PEM form in it")]
    NoList,
    /// A list that can not be used.
    #[error("the revocation lists can not be used: {0}")]
    UnusableList(String),
}

impl ClientAuth {
    /// Takes the certificates for which those in `authorities` vouch, and that no list in `lists`
    /// revokes; all in PEM form. Where there are lists, one of each issuer in a chain is needed,
    /// and none may be out of date: what is not known to be good is refused.
    ///
    /// `required`: a client without a certificate is refused. `forward`: upstreams are told
    /// (RFC 9440).
    ///
    /// # Errors
    /// What keeps clients from being verified.
    pub fn from_pem(
        authorities: &[u8],
        lists: &[Vec<u8>],
        required: bool,
        forward: bool,
    ) -> Result<Self, ClientAuthError> {
        let mut roots = RootCertStore::empty();
        for (at, der) in CertificateDer::pem_slice_iter(authorities).enumerate() {
            let der = der.map_err(|_| ClientAuthError::NoCertificate)?;
            roots
                .add(der)
                .map_err(|source| ClientAuthError::Unusable { number: at + 1, source })?;
        }
        if roots.is_empty() {
            return Err(ClientAuthError::NoCertificate);
        }
        let mut crls = Vec::new();
        for list in lists {
            let before = crls.len();
            for crl in CertificateRevocationListDer::pem_slice_iter(list) {
                crls.push(crl.map_err(|_| ClientAuthError::NoList)?);
            }
            if crls.len() == before {
                return Err(ClientAuthError::NoList);
            }
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(crls)
            .enforce_revocation_expiration();
        if !required {
            builder = builder.allow_unauthenticated();
        }
        let unusable = |error: rustls::server::VerifierBuilderError| {
            ClientAuthError::UnusableList(error.to_string())
        };
        Ok(Self { verifier: builder.build().map_err(unusable)?, forward })
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }
}
