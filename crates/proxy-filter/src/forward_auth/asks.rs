//! `ForwardAuth`: what is asked, and what of the answer is passed on.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName};

/// What is asked of another service, and what of its answer is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardAuth {
    pub(super) target: PathAndQuery,
    pub(super) service: Arc<str>,
    pub(super) sends: Option<Vec<HeaderName>>,
    pub(super) copies: Vec<HeaderName>,
    pub(super) returns: Vec<HeaderName>,
    pub(super) user: Option<HeaderName>,
    pub(super) timeout: Duration,
    pub(super) keeps_forwarded: bool,
}

impl ForwardAuth {
    /// Asks for this target, with all fields of the request that are not about its content or its
    /// connection, and passes nothing on. 5 s are enough.
    pub fn new(target: PathAndQuery) -> Self {
        Self {
            target,
            service: "auth".into(),
            sends: None,
            copies: Vec::new(),
            returns: Vec::new(),
            user: None,
            timeout: Duration::from_secs(5),
            keeps_forwarded: false,
        }
    }

    /// What the service is called in decisions and metrics. Default: `auth`.
    #[must_use]
    pub fn service(mut self, name: impl Into<Arc<str>>) -> Self {
        self.service = name.into();
        self
    }

    /// Sends only these fields of the request, beside `Host` and what is said of the request.
    /// Default: all that are not about its content or its connection.
    #[must_use]
    pub fn sends(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.sends = Some(names.into_iter().collect());
        self
    }

    /// Copies these fields of an answer that lets pass into the request. What the client sent
    /// under these names never passes. Default: none.
    #[must_use]
    pub fn copies(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.copies = names.into_iter().collect();
        self
    }

    /// Copies these fields of an answer that lets pass into the response for the client, such as
    /// the `Set-Cookie` of a session that was renewed. Default: none.
    #[must_use]
    pub fn returns(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.returns = names.into_iter().collect();
        self
    }

    /// The field of an answer that lets pass that names the user, for the record of the exchange.
    /// Default: none.
    #[must_use]
    pub fn user(mut self, name: HeaderName) -> Self {
        self.user = Some(name);
        self
    }

    /// How long the answer may take, its head and what of its content a client gets. Default: 5 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Passes `X-Forwarded-Proto` and `X-Forwarded-Host` of the request on, where it has them:
    /// where [`ClientAddrLayer`](proxy_core::ClientAddrLayer) stands above, which makes them anew.
    /// Default: no, they are the connection's scheme and `Host`.
    #[must_use]
    pub fn keeps_forwarded(mut self) -> Self {
        self.keeps_forwarded = true;
        self
    }

    /// Removes what only the other service may say.
    pub(super) fn disbelieve(&self, fields: &mut HeaderMap) {
        if self.copies.is_empty() {
            return;
        }
        for name in &self.copies {
            fields.remove(name);
        }
        let spelled = |name: &&HeaderName| {
            name.as_str().contains('_') && self.copies.iter().any(|own| are_alike(own, name))
        };
        let others: Vec<HeaderName> = fields.keys().filter(spelled).cloned().collect();
        for name in others {
            fields.remove(name);
        }
    }
}

/// Whether two names are the same to a program that tells `-` and `_` not apart, as CGI and WSGI
/// do (RFC 3875 section 4.1.18).
fn are_alike(one: &HeaderName, other: &HeaderName) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let (one, other) = (one.as_str().bytes(), other.as_str().bytes());
    one.map(plain).eq(other.map(plain))
}
