//! Keys of QUIC that outlive a process, or are shared by several: those that seal address
//! validation tokens, and those that prove a stateless reset (RFC 9000 sections 8.1 and 10.3).

use std::sync::Arc;

use aws_lc_rs::{hkdf, hmac};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, ServerConfig};

/// The endpoint's configuration, with the key for stateless resets.
pub(super) fn endpoint_config(secret: Option<&[u8]>) -> EndpointConfig {
    let mut config = match secret {
        None => EndpointConfig::default(),
        Some(secret) => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let key = hmac::sign(&key, b"proxyd stateless reset");
            EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, key.as_ref())))
        }
    };
    // No drafts.
    config.supported_versions(vec![1]);
    config
}

/// The server's configuration, with the key for tokens.
pub(super) fn server_config(crypto: Arc<QuicServerConfig>, secret: Option<&[u8]>) -> ServerConfig {
    match secret {
        None => ServerConfig::with_crypto(crypto),
        Some(secret) => {
            let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"proxyd address token");
            ServerConfig::new(crypto, Arc::new(salt.extract(secret)))
        }
    }
}
