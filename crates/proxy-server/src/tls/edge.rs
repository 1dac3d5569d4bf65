//! `TlsEdge`: the TLS of a listener, which can be given new certificates at any time.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::sync::Semaphore;

use super::client_auth::ClientAuth;
use super::store::CertificateStore;

/// The oldest version that a client may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.2, with forward secrecy and authenticated encryption only. Default.
    #[default]
    V12,
    /// TLS 1.3.
    V13,
}

impl TlsVersion {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::V12 => &BOTH,
            Self::V13 => &BOTH[..1],
        }
    }
}

static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// How a listener does handshakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// The oldest version that a client may speak. Default: 1.2.
    pub minimum: TlsVersion,
    /// What is offered to clients (RFC 7301), the preferred first. Default: `h2`, `http/1.1`.
    pub protocols: Vec<&'static str>,
    /// Whether clients get tickets by which a session goes on without a full handshake. The keys
    /// change every 6 hours, and a ticket is good for its server name only. Where clients can
    /// show certificates there are none: each connection is judged anew. Default: true.
    pub tickets: bool,
    /// From the connection's first byte to the end of its handshake. Default: 10 s.
    pub timeout: Duration,
    /// Handshakes at a time; more wait, for no longer than their timeout. Default: 4096.
    pub handshakes: usize,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            minimum: TlsVersion::default(),
            protocols: vec!["h2", "http/1.1"],
            tickets: true,
            timeout: Duration::from_secs(10),
            handshakes: 4096,
        }
    }
}

/// What can change while a listener serves.
#[derive(Debug)]
pub struct TlsMaterial {
    /// The certificates to show.
    pub certificates: CertificateStore,
    /// The certificates that clients show; none are asked for where there is nothing.
    pub clients: Option<ClientAuth>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no certificate.
    #[error("there is no certificate")]
    NoCertificate,
    /// rustls does not take it.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// The TLS of a listener. Its tickets outlive its certificates.
pub struct TlsEdge {
    options: TlsOptions,
    tickets: Option<Arc<dyn ProducesTickets>>,
    current: ArcSwap<State>,
    pub(super) places: Semaphore,
}

/// What a handshake begins with, and keeps to its end.
pub(super) struct State {
    pub(super) config: Arc<ServerConfig>,
    pub(super) store: Arc<CertificateStore>,
    pub(super) forward: bool,
}

impl TlsEdge {
    /// TLS with these certificates.
    ///
    /// # Errors
    /// No certificate, no randomness, or what rustls finds wrong.
    pub fn new(options: TlsOptions, material: TlsMaterial) -> Result<Self, TlsError> {
        let tickets = match options.tickets {
            true => Some(aws_lc_rs::Ticketer::new()?),
            false => None,
        };
        let current = ArcSwap::from_pointee(state(&options, tickets.as_ref(), material)?);
        let places = Semaphore::new(options.handshakes.min(Semaphore::MAX_PERMITS));
        Ok(Self { options, tickets, current, places })
    }

    /// Uses these from now on. Connections that stand go on with what they began with.
    ///
    /// # Errors
    /// As [`new`](Self::new); what was in use stays in use.
    pub fn renew(&self, material: TlsMaterial) -> Result<(), TlsError> {
        let state = state(&self.options, self.tickets.as_ref(), material)?;
        self.current.store(Arc::new(state));
        Ok(())
    }

    /// The configuration of the moment. Another protocol than those of TCP clones it and sets its
    /// own ALPN.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// The certificates of the moment.
    pub fn certificates(&self) -> Arc<CertificateStore> {
        Arc::clone(&self.current.load().store)
    }

    /// How it does handshakes.
    pub fn options(&self) -> &TlsOptions {
        &self.options
    }

    pub(super) fn state(&self) -> Arc<State> {
        self.current.load_full()
    }
}

impl std::fmt::Debug for TlsEdge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsEdge").field("options", &self.options).finish_non_exhaustive()
    }
}

fn state(
    options: &TlsOptions,
    tickets: Option<&Arc<dyn ProducesTickets>>,
    material: TlsMaterial,
) -> Result<State, TlsError> {
    let TlsMaterial { certificates, clients } = material;
    if certificates.certificates().is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let store = Arc::new(certificates);
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(options.minimum.versions())?;
    let builder = match &clients {
        Some(clients) => builder.with_client_cert_verifier(clients.verifier()),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::clone(&store) as _);
    config.alpn_protocols = options.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    // Tickets keep the state with the client: nothing grows here, and every worker reads them.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match tickets.filter(|_| clients.is_none()) {
        Some(tickets) => config.ticketer = Arc::clone(tickets),
        None => config.send_tls13_tickets = 0,
    }
    let forward = clients.is_some_and(|clients| clients.forward);
    Ok(State { config: Arc::new(config), store, forward })
}
