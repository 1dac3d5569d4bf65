//! The files of TLS: read at start, and again when they change.

mod ageing;
mod upstream;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proxy_server::tls::{Certificate, CertificateStore, ClientAuth, TlsMaterial, UnknownNames};

use crate::config::raw::ClientCertificateMode;

pub use ageing::Ageing;
pub use upstream::{UpstreamTlsFault, UpstreamTlsFiles};

/// The files of a listener's TLS.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificates.
    pub certificates: Vec<CertificateFile>,
    /// What becomes of names that none of them has.
    pub unknown_names: UnknownNames,
    /// Who vouches for clients, where they are asked.
    pub clients: Option<ClientFiles>,
}

/// The files of a certificate.
#[derive(Clone, Debug)]
pub struct CertificateFile {
    /// The chain.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
    /// An OCSP response.
    pub ocsp: Option<PathBuf>,
}

/// The files by which clients are verified.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// Who vouches for them.
    pub ca: PathBuf,
    /// Who was revoked.
    pub crl: Vec<PathBuf>,
    /// Whether each needs a certificate.
    pub mode: ClientCertificateMode,
    /// Whether upstreams are told.
    pub forward: bool,
}

/// What is wrong, and in which of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFault {
    /// Which file.
    pub part: TlsPart,
    /// What is wrong with it.
    pub message: String,
    /// It could not be read: perhaps it can a moment later.
    pub unreadable: bool,
}

/// A file of a listener's TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPart {
    /// The chain of a certificate, by its number.
    Cert(usize),
    /// The key of a certificate, by its number.
    Key(usize),
    /// The OCSP response of a certificate, by its number.
    Ocsp(usize),
    /// Who vouches for clients.
    Ca,
    /// A revocation list, by its number.
    Crl(usize),
}

impl TlsFiles {
    /// Reads all of them.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(&self) -> Result<TlsMaterial, Vec<TlsFault>> {
        let mut faults = Vec::new();
        let mut certificates = Vec::new();
        for (at, files) in self.certificates.iter().enumerate() {
            match files.load(at) {
                Ok(certificate) => certificates.push(certificate),
                Err(more) => faults.extend(more),
            }
        }
        let clients = match self.clients.as_ref().map(ClientFiles::load).transpose() {
            Ok(clients) => clients,
            Err(more) => {
                faults.extend(more);
                None
            }
        };
        match faults.is_empty() {
            true => {
                let certificates = CertificateStore::new(certificates, self.unknown_names);
                Ok(TlsMaterial { certificates, clients })
            }
            false => Err(faults),
        }
    }

    /// Every path.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let certificates = self
            .certificates
            .iter()
            .flat_map(|own| [Some(&own.cert), Some(&own.key), own.ocsp.as_ref()])
            .flatten();
        let clients = self.clients.iter().flat_map(|own| std::iter::once(&own.ca).chain(&own.crl));
        certificates.chain(clients).map(PathBuf::as_path)
    }
}

impl CertificateFile {
    fn load(&self, at: usize) -> Result<Certificate, Vec<TlsFault>> {
        let chain = read(&self.cert, TlsPart::Cert(at));
        let key = read(&self.key, TlsPart::Key(at));
        let staple = self.ocsp.as_ref().map(|path| read(path, TlsPart::Ocsp(at))).transpose();
        let (chain, key, staple) = match (chain, key, staple) {
            (Ok(chain), Ok(key), Ok(staple)) => (chain, key, staple),
            (chain, key, staple) => {
                return Err([chain.err(), key.err(), staple.err()].into_iter().flatten().collect());
            }
        };
        Certificate::from_pem(&chain, &key, staple).map_err(|error| {
            use proxy_server::tls::CertificateError as E;
            let (part, path) = match error {
                E::NoKey | E::UnusableKey(_) | E::OtherKey { .. } => (TlsPart::Key(at), &self.key),
                E::Staple => (TlsPart::Ocsp(at), self.ocsp.as_ref().unwrap_or(&self.cert)),
                _ => (TlsPart::Cert(at), &self.cert),
            };
            vec![TlsFault {
                part,
                message: format!("{}: {error}", path.display()),
                unreadable: false,
            }]
        })
    }
}

impl ClientFiles {
    fn load(&self) -> Result<ClientAuth, Vec<TlsFault>> {
        let ca = read(&self.ca, TlsPart::Ca).map_err(|fault| vec![fault])?;
        let mut lists = Vec::new();
        let mut faults = Vec::new();
        for (at, path) in self.crl.iter().enumerate() {
            match read(path, TlsPart::Crl(at)) {
                Ok(list) => lists.push(list),
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let required = self.mode == ClientCertificateMode::Required;
        ClientAuth::from_pem(&ca, &lists, required, self.forward).map_err(|error| {
            use proxy_server::tls::ClientAuthError as E;
            let (part, path) = match error {
                E::NoList | E::UnusableList(_) => {
                    (TlsPart::Crl(0), self.crl.first().unwrap_or(&self.ca))
                }
                _ => (TlsPart::Ca, &self.ca),
            };
            vec![TlsFault {
                part,
                message: format!("{}: {error}", path.display()),
                unreadable: false,
            }]
        })
    }
}

fn read(path: &Path, part: TlsPart) -> Result<Vec<u8>, TlsFault> {
    fs::read(path).map_err(|error: io::Error| {
        let message = format!("cannot read {}: {}", path.display(), crate::config::plain(&error));
        TlsFault { part, message, unreadable: true }
    })
}
