//! TLS within QUIC (RFC 9001): the same certificates, clients and tickets, another protocol.

use std::any::Any;
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use proxy_core::TlsInfo;
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;

use super::edge::{State, TlsEdge};
use super::identity;

/// What is offered to clients (RFC 9114 section 3.1).
const PROTOCOL: &str = "h3";

/// A listener's TLS, for QUIC.
pub(crate) struct QuicTls {
    edge: Arc<TlsEdge>,
    current: ArcSwap<Made>,
}

/// What was made of a configuration.
struct Made {
    of: Arc<ServerConfig>,
    crypto: Arc<QuicServerConfig>,
}

/// What a handshake began with.
pub(crate) struct Begun(Arc<State>);

impl QuicTls {
    /// # Errors
    /// A configuration without TLS 1.3.
    pub(crate) fn new(edge: Arc<TlsEdge>) -> io::Result<Self> {
        let current = ArcSwap::from_pointee(make(edge.config())?);
        Ok(Self { edge, current })
    }

    pub(crate) fn edge(&self) -> &TlsEdge {
        &self.edge
    }

    /// What the next handshake is done with: certificates may have changed.
    pub(crate) fn begin(&self) -> (Arc<QuicServerConfig>, Begun) {
        let state = self.edge.state();
        let mut made = self.current.load_full();
        if !Arc::ptr_eq(&made.of, &state.config) {
            // It has the versions that the first one had.
            if let Ok(new) = make(Arc::clone(&state.config)) {
                made = Arc::new(new);
                self.current.store(Arc::clone(&made));
            }
        }
        (Arc::clone(&made.crypto), Begun(state))
    }
}

fn make(of: Arc<ServerConfig>) -> io::Result<Made> {
    let mut config = (*of).clone();
    config.alpn_protocols = vec![PROTOCOL.into()];
    // Nothing that comes with a replayed handshake is a request.
    config.max_early_data_size = 0;
    let crypto = QuicServerConfig::try_from(Arc::new(config)).map_err(io::Error::other)?;
    Ok(Made { of, crypto: Arc::new(crypto) })
}

impl Begun {
    /// What was agreed upon. quinn does not tell cipher and group, nor whether a session went on.
    pub(crate) fn describe(
        &self,
        handshake: Option<Box<dyn Any>>,
        identity: Option<Box<dyn Any>>,
    ) -> TlsInfo {
        let handshake = handshake.and_then(|data| data.downcast::<HandshakeData>().ok());
        let server_name = handshake.and_then(|data| data.server_name).map(|n| n.to_lowercase());
        let chain = identity.and_then(|own| own.downcast::<Vec<CertificateDer<'static>>>().ok());
        TlsInfo {
            version: "TLSv1.3",
            cipher: "unknown",
            group: None,
            alpn: Some(PROTOCOL),
            names: self.0.store.shown_for(server_name.as_deref()).unwrap_or_default(),
            server_name: server_name.map(Into::into),
            resumed: false,
            client: chain.and_then(|chain| identity::of(&chain, self.0.forward)).map(Arc::new),
        }
    }
}
