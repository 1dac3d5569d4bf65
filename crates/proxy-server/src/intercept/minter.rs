//! `Minter`: made certificates, each kept for the connections that follow.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use quick_cache::sync::Cache;

use super::authority::{Authority, AuthorityError};
use super::found::Found;
use crate::tls::{CertificateStore, TlsEdge, TlsMaterial, TlsOptions, UnknownNames};

/// Certificates that are kept, by default.
const KEPT: usize = 1024;
/// How long one is used for new connections, by default.
const USED: Duration = Duration::from_secs(3600);

/// Makes certificates, and keeps them: at most 1024, each for an hour. A clone is the same.
#[derive(Clone)]
pub struct Minter(Arc<Shared>);

struct Shared {
    authority: Arc<Authority>,
    made: Cache<(Box<str>, Found), Made>,
    options: TlsOptions,
}

#[derive(Clone)]
struct Made {
    edge: Arc<TlsEdge>,
    until: SystemTime,
}

impl Minter {
    /// Signs by this authority.
    pub fn new(authority: Authority) -> Self {
        Self::keeping(authority, KEPT)
    }

    /// Signs by this authority, and keeps so many.
    pub fn keeping(authority: Authority, most: usize) -> Self {
        let (made, options) = (Cache::new(most), TlsOptions::default());
        Self(Arc::new(Shared { authority: Arc::new(authority), made, options }))
    }

    /// The same authority, with handshakes as a listener does them. Nothing is kept yet.
    #[must_use]
    pub fn with_options(&self, options: TlsOptions) -> Self {
        let authority = Arc::clone(&self.0.authority);
        Self(Arc::new(Shared { authority, made: Cache::new(KEPT), options }))
    }

    /// The authority.
    pub fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// How many are kept.
    pub fn kept(&self) -> usize {
        self.0.made.len()
    }

    /// The TLS for clients that asked for a host: 1.2 or later, HTTP/2 or HTTP/1.1. Another server
    /// name than one of the certificate's is refused.
    ///
    /// # Errors
    /// The host can not stand in a certificate, or signing failed.
    pub fn edge(
        &self,
        host: &str,
        found: &Found,
        now: SystemTime,
    ) -> Result<Arc<TlsEdge>, AuthorityError> {
        let Shared { authority, made, options } = &*self.0;
        let key = (Box::from(host), found.clone());
        if let Some(own) = made.get(&key).filter(|own| now < own.until) {
            return Ok(own.edge);
        }
        let certificates =
            CertificateStore::new(vec![authority.sign(host, found, now)?], UnknownNames::Refuse);
        let material = TlsMaterial { certificates, clients: None };
        let edge = TlsEdge::new(options.clone(), material)
            .map_err(|error| AuthorityError::Signing(error.to_string()))?;
        let until = found.holds.map_or(now + USED, |(_, until)| until.min(now + USED));
        let edge = Arc::new(edge);
        made.insert(key, Made { edge: Arc::clone(&edge), until });
        Ok(edge)
    }
}

impl std::fmt::Debug for Minter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minter").field("kept", &self.kept()).finish_non_exhaustive()
    }
}
