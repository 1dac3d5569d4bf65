//! The files of the TLS towards an upstream: who vouches for its servers, and who we are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proxy_upstream::tls::{Identity, Pin, Roots, UpstreamTlsConfig};

/// The files, and what else it is made of.
#[derive(Clone, Debug)]
pub struct UpstreamTlsFiles {
    /// Who vouches for its servers; the system's roots, where there is none.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that servers must prove.
    pub server_name: Option<String>,
    /// Whether they are verified.
    pub verify: bool,
    /// Their keys.
    pub pins: Vec<Pin>,
    /// Whether TLS 1.2 is spoken.
    pub tls12: bool,
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum UpstreamTlsFault {
    /// It can not be read: perhaps it can a moment later.
    Unreadable(String),
    /// It was read, and is not good.
    Wrong(String),
}

impl UpstreamTlsFiles {
    /// The files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let pair = self.identity.iter().flat_map(|(cert, key)| [cert, key]);
        self.ca.iter().chain(pair).map(PathBuf::as_path)
    }

    /// Reads them.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn load(&self) -> Result<UpstreamTlsConfig, UpstreamTlsFault> {
        let roots = match &self.ca {
            Some(ca) => Roots::from_pem(&read(ca)?).map_err(|error| wrong(ca, &error))?,
            None if !self.verify => Roots::none(),
            None => Roots::system(),
        };
        let identity = match &self.identity {
            Some((cert, key)) => {
                let own = Identity::from_pem(&read(cert)?, &read(key)?);
                Some(own.map_err(|error| wrong(cert, &error))?)
            }
            None => None,
        };
        Ok(UpstreamTlsConfig {
            server_name: self.server_name.clone(),
            verify: self.verify,
            pins: self.pins.clone(),
            identity,
            tls12: self.tls12,
            ..UpstreamTlsConfig::new(roots)
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, UpstreamTlsFault> {
    let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
    fs::read(path).map_err(|error| UpstreamTlsFault::Unreadable(failed(error)))
}

fn wrong(path: &Path, error: &dyn std::error::Error) -> UpstreamTlsFault {
    UpstreamTlsFault::Wrong(format!("{}: {error}", path.display()))
}
