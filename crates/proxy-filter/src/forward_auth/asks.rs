//! `ForwardAuth`: what is asked, and what of the answer is passed on.

use std::sync::Arc;
use std::time::Duration;

use http::header::TRAILER;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use proxy_core::fields::list;

use super::question::remove_where;

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

    /// Sends only these fields of the request, beside `Host`, what is said of the request, and
    /// `X-Forwarded-For`, `Forwarded`, `X-Request-Id`, `traceparent` and `Via` where it has them.
    /// Default: all that are not about its content or its connection. Whatever is chosen, other
    /// names for what was asked are not sent, such as `X-Original-URL`.
    #[must_use]
    pub fn sends(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.sends = Some(names.into_iter().collect());
        self
    }

    /// Copies these fields of an answer that lets pass into the request. What the client sent
    /// under these names never passes, as a field or a trailer field, and the service does not see
    /// it either, but for `Authorization` and `Cookie`. Default: none.
    #[must_use]
    pub fn copies(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.copies = names.into_iter().collect();
        self
    }

    /// Copies these fields of an answer that lets pass into the response for the client, such as
    /// the `Set-Cookie` of a session that was renewed. A response that gets a `Set-Cookie` is
    /// `private` from then on. Default: none.
    #[must_use]
    pub fn returns(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.returns = names.into_iter().collect();
        self
    }

    /// The field of an answer that lets pass that names the user, for the record of the exchange;
    /// a user that is in the record already stays. What the client sent under this name never
    /// passes. Default: none.
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

    /// Passes `Forwarded`, `X-Forwarded-For` and `X-Forwarded-Proto` of the request on, where it has
    /// them: where [`ClientAddrLayer`](proxy_core::ClientAddrLayer) stands above, which makes them
    /// anew. Default: no; `X-Forwarded-Proto` is the connection's scheme. `X-Forwarded-Host` is
    /// `Host` in any case: what is served is what is asked about.
    #[must_use]
    pub fn keeps_forwarded(mut self) -> Self {
        self.keeps_forwarded = true;
        self
    }

    /// Whether there are fields that only the other service may say.
    pub(super) fn owns_names(&self) -> bool {
        !self.copies.is_empty() || self.user.is_some()
    }

    /// Whether only the other service may say this, in whatever spelling.
    pub(super) fn is_own(&self, name: &HeaderName) -> bool {
        self.copies.iter().chain(&self.user).any(|own| are_alike(own, name))
    }

    /// Removes what only the other service may say, from fields or trailer fields.
    pub(super) fn disbelieve(&self, fields: &mut HeaderMap) {
        if !self.owns_names() {
            return;
        }
        remove_where(fields, |name| self.is_own(name));
        if fields.contains_key(TRAILER) {
            self.unannounce(fields);
        }
    }

    /// The same, from what is announced to come as a trailer field.
    fn unannounce(&self, fields: &mut HeaderMap) {
        let others = |text: &&str| {
            HeaderName::from_bytes(text.as_bytes()).is_ok_and(|name| !self.is_own(&name))
        };
        let others: Vec<&str> = list(fields, &TRAILER).filter(others).collect();
        match HeaderValue::try_from(others.join(", ")) {
            Ok(others) if !others.is_empty() => fields.insert(TRAILER, others),
            _ => fields.remove(TRAILER),
        };
    }
}

/// Whether two names are the same to a program that tells `-` and `_` not apart, as CGI and WSGI
/// do (RFC 3875 section 4.1.18).
fn are_alike(one: &HeaderName, other: &HeaderName) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let (one, other) = (one.as_str().bytes(), other.as_str().bytes());
    one.map(plain).eq(other.map(plain))
}
