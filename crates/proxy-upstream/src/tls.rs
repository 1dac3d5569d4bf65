//! TLS towards origin servers: whom we believe, and who we are.
//!
//! An [`UpstreamTls`] is made once for an upstream. It verifies by default, keeps sessions so that
//! a further connection need not do a full handshake, and belongs to one set of trust: connections
//! and sessions are never shared with another.

mod failure;
mod handshake;
mod roots;
mod verify;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};

pub use roots::{Roots, RootsError};
pub use verify::{Pin, PinError};

/// Sessions that are kept for each upstream.
const SESSIONS: usize = 256;

/// Whom an upstream's servers must prove to be, and who we are.
#[derive(Debug)]
pub struct UpstreamTlsConfig {
    /// Who may vouch for them.
    pub roots: Roots,
    /// The name that they must prove, and that they are asked for. Default: the endpoint's host.
    pub server_name: Option<String>,
    /// Whether they are verified at all. Default: true. Where they are not, only
    /// [`pins`](Self::pins) tell them from somebody else.
    pub verify: bool,
    /// The server's own key must be one of these. Empty, the default: any.
    pub pins: Vec<Pin>,
    /// What we show where a server asks who we are: a chain and its key.
    pub identity: Option<Identity>,
    /// Whether TLS 1.2 is spoken too. Default: true.
    pub tls12: bool,
}

impl UpstreamTlsConfig {
    /// Verified by these roots, with all other defaults.
    pub fn new(roots: Roots) -> Self {
        Self {
            roots,
            server_name: None,
            verify: true,
            pins: Vec::new(),
            identity: None,
            tls12: true,
        }
    }
}

/// A certificate of ours, with its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads both from PEM.
    ///
    /// # Errors
    /// There is none in one of them.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, UpstreamTlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| UpstreamTlsError::NoCertificate)?;
        if chain.is_empty() {
            return Err(UpstreamTlsError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| UpstreamTlsError::NoKey)?;
        Ok(Self { chain, key })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Why there is no TLS towards an upstream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamTlsError {
    /// The file holds something else.
    #[error("there is no certificate in PEM form in it")]
    NoCertificate,
    /// The file holds something else.
    #[error("there is no private key in PEM form in it")]
    NoKey,
    /// Neither a name nor an address.
    #[error("`{0}` is neither a name nor an address")]
    ServerName(String),
    /// The client certificate and its key.
    #[error("the client certificate can not be used: {0}")]
    Identity(rustls::Error),
    /// rustls does not take it.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// TLS towards one upstream. A clone is the same, with its sessions.
#[derive(Clone)]
pub struct UpstreamTls {
    shared: Arc<Shared>,
}

struct Shared {
    name: Option<ServerName<'static>>,
    /// For HTTP/1.1 and for HTTP/2: sessions of one are of no use to the other.
    configs: ArcSwap<[Arc<ClientConfig>; 2]>,
}

impl UpstreamTls {
    /// Makes it.
    ///
    /// # Errors
    /// What of the configuration can not be used.
    pub fn new(config: UpstreamTlsConfig) -> Result<Self, UpstreamTlsError> {
        let name = config.server_name.as_deref().map(server_name).transpose()?;
        let configs = ArcSwap::from_pointee(configs(config)?);
        Ok(Self { shared: Arc::new(Shared { name, configs }) })
    }

    /// Takes another configuration for the handshakes that follow, such as a new certificate of
    /// ours. Connections that stand go on. The name that servers must prove stays the same.
    ///
    /// # Errors
    /// What of it can not be used; everything stays as it is.
    pub fn renew(&self, config: UpstreamTlsConfig) -> Result<(), UpstreamTlsError> {
        self.shared.configs.store(Arc::new(configs(config)?));
        Ok(())
    }

    fn config(&self, http2: bool) -> Arc<ClientConfig> {
        Arc::clone(&self.shared.configs.load()[usize::from(http2)])
    }

    fn name_for(&self, host: &str) -> Result<ServerName<'static>, UpstreamTlsError> {
        self.shared.name.clone().map_or_else(|| server_name(host), Ok)
    }
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, UpstreamTlsError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    ServerName::try_from(bare.to_owned()).map_err(|_| UpstreamTlsError::ServerName(host.into()))
}

static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

fn configs(config: UpstreamTlsConfig) -> Result<[Arc<ClientConfig>; 2], UpstreamTlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = if config.tls12 { &BOTH[..] } else { &BOTH[..1] };
    let verifier = verify::verifier(&config, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut h1 = match config.identity {
        Some(Identity { chain, key }) => {
            builder.with_client_auth_cert(chain, key).map_err(UpstreamTlsError::Identity)?
        }
        None => builder.with_no_client_auth(),
    };
    h1.resumption = Resumption::in_memory_sessions(SESSIONS);
    h1.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut h2 = h1.clone();
    h2.resumption = Resumption::in_memory_sessions(SESSIONS);
    h2.alpn_protocols = vec![b"h2".to_vec()];
    Ok([Arc::new(h1), Arc::new(h2)])
}

#[cfg(test)]
mod tests;
