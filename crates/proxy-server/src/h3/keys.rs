//! Keys of QUIC that outlive a process, or are shared by several: those that seal address
//! validation tokens, and those that prove a stateless reset (RFC 9000 sections 8.1 and 10.3).

use std::sync::Arc;

use aws_lc_rs::{hkdf, hmac};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, ServerConfig};

use super::ids::Ids;

/// The endpoint's configuration, with the key for stateless resets.
pub(super) fn endpoint_config(secret: &[u8], ids: Ids) -> EndpointConfig {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let key = hmac::sign(&key, b"proxyd stateless reset");
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
    let mut config = EndpointConfig::new(Arc::new(key));
    // No drafts. A packet for a connection that nobody has is answered by a reset, whatever its id.
    config.supported_versions(vec![1]).cid_generator(move || Box::new(ids.clone()));
    config
}

/// The server's configuration, with the key for tokens.
pub(super) fn server_config(crypto: Arc<QuicServerConfig>, secret: &[u8]) -> ServerConfig {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"proxyd address token");
    ServerConfig::new(crypto, Arc::new(salt.extract(secret)))
}
