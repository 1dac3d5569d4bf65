//! `Minter`: made certificates, each kept for the connections that follow.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use quick_cache::sync::Cache;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::ServerSessionMemoryCache;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::authority::{Authority, AuthorityError};
use super::found::Found;

/// Certificates that are kept, by default.
const KEPT: usize = 1024;
/// How long one is used for new connections, by default.
const USED: Duration = Duration::from_secs(3600);
/// Sessions that may be resumed, for each name.
const SESSIONS: usize = 32;

/// Makes certificates, and keeps them: at most 1024, each for an hour. A clone is the same.
#[derive(Clone)]
pub struct Minter(Arc<Shared>);

struct Shared {
    authority: Authority,
    made: Cache<(Box<str>, Found), Made>,
}

#[derive(Clone)]
struct Made {
    config: Arc<ServerConfig>,
    until: SystemTime,
}

impl Minter {
    /// Signs by this authority.
    pub fn new(authority: Authority) -> Self {
        Self::keeping(authority, KEPT)
    }

    /// Signs by this authority, and keeps so many.
    pub fn keeping(authority: Authority, most: usize) -> Self {
        Self(Arc::new(Shared { authority, made: Cache::new(most) }))
    }

    /// The authority.
    pub fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// How many are kept.
    pub fn kept(&self) -> usize {
        self.0.made.len()
    }

    /// How to speak TLS with a client that asked for a host: TLS 1.2 or later, HTTP/2 or HTTP/1.1.
    ///
    /// # Errors
    /// The host can not stand in a certificate, or signing failed.
    pub fn config(
        &self,
        host: &str,
        found: &Found,
        now: SystemTime,
    ) -> Result<Arc<ServerConfig>, AuthorityError> {
        let Shared { authority, made } = &*self.0;
        let key = (Box::from(host), found.clone());
        if let Some(own) = made.get(&key).filter(|own| now < own.until) {
            return Ok(own.config);
        }
        let signed = authority.sign(host, found, now)?;
        let until = found.holds.map_or(now + USED, |(_, until)| until.min(now + USED));
        let config = Arc::new(config(signed)?);
        made.insert(key, Made { config: Arc::clone(&config), until });
        Ok(config)
    }
}

fn config(signed: CertifiedKey) -> Result<ServerConfig, AuthorityError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| AuthorityError::Signing(error.to_string()))?;
    let resolver = Arc::new(SingleCertAndKey::from(signed));
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    Ok(config)
}

impl std::fmt::Debug for Minter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minter").field("kept", &self.kept()).finish_non_exhaustive()
    }
}
