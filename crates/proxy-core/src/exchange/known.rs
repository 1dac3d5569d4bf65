//! What layers find out about who asks, for the layers behind them: slots of the
//! [`Exchange`](super::Exchange), read with [`get`](super::Exchange::get).

use std::sync::Arc;

/// Words that rules put on a request. A clone is the same words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(pub Arc<[Arc<str>]>);

impl Tags {
    /// Whether a word is among them.
    pub fn has(&self, tag: &str) -> bool {
        self.0.iter().any(|own| **own == *tag)
    }

    /// These and more; none twice.
    #[must_use]
    pub fn with(&self, more: &[Arc<str>]) -> Self {
        let mut tags: Vec<Arc<str>> = self.0.to_vec();
        for tag in more {
            if !tags.contains(tag) {
                tags.push(Arc::clone(tag));
            }
        }
        Self(tags.into())
    }
}

/// The server name that the client's TLS handshake gave (RFC 6066 section 3), in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerName(pub Arc<str>);
