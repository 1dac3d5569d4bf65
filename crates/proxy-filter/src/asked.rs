//! `Asked`: what a policy sees of a request, and what it leaves on it.

use std::cell::RefCell;
use std::sync::Arc;
use std::{borrow::Cow, fmt};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use proxy_core::target::Authority;
use proxy_core::{
    ClientAddr, ClientCertificate, Decision, Exchange, RequestHead, ServerName, Tags,
    Verdict as Recorded,
};

/// A request that is judged: its head, what the exchange knows, and what the policies before this
/// one left on it.
pub struct Asked<'a> {
    head: RequestHead<'a>,
    exchange: Option<&'a Exchange>,
    authority: Authority<'a>,
    left: RefCell<Left>,
    again: bool,
}

/// What policies leave on a request that is passed on.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) tags: Vec<Arc<str>>,
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    pub(crate) removed: Vec<HeaderName>,
    pub(crate) user: Option<Arc<str>>,
}

impl Left {
    pub(crate) fn is_empty(&self) -> bool {
        self.tags.is_empty()
            && self.set.is_empty()
            && self.removed.is_empty()
            && self.user.is_none()
    }
}

impl<'a> Asked<'a> {
    /// A request by its head.
    pub fn new(head: RequestHead<'a>) -> Self {
        let authority = match head.target.authority() {
            Some(authority) => Authority::parse(authority.as_str()),
            None => head.fields.get(header::HOST).and_then(|h| Authority::parse(h.to_str().ok()?)),
        };
        Self {
            head,
            exchange: head.exchange(),
            // What has no host is of no name that a list could have.
            authority: authority.unwrap_or(Authority { host: "", port: None }),
            left: RefCell::default(),
            again: false,
        }
    }

    /// The same request once more, because a name turned up on its way: what counts requests has
    /// counted it.
    #[must_use]
    pub const fn again(mut self) -> Self {
        self.again = true;
        self
    }

    /// Whether the request was judged and let pass before, and is asked about for a name that
    /// turned up on its way.
    pub const fn is_again(&self) -> bool {
        self.again
    }

    /// The head.
    pub const fn head(&self) -> RequestHead<'a> {
        self.head
    }

    /// The record, where a server put one.
    pub const fn exchange(&self) -> Option<&'a Exchange> {
        self.exchange
    }

    /// Whether nothing may be counted, started or sent.
    pub fn is_rehearsal(&self) -> bool {
        self.exchange.is_some_and(Exchange::is_rehearsal)
    }

    /// The method.
    pub const fn method(&self) -> &'a Method {
        self.head.method
    }

    /// The fields.
    pub const fn fields(&self) -> &'a HeaderMap {
        self.head.fields
    }

    /// The host of the target, or of `Host` where the target has none; without a port. Empty where
    /// there is none.
    pub const fn host(&self) -> &'a str {
        self.authority.host
    }

    /// The port of the target: the one that is written, or the scheme's.
    pub fn port(&self) -> u16 {
        let default = if self.scheme() == "https" { 443 } else { 80 };
        self.authority.port.unwrap_or(default)
    }

    /// `http` or `https`: of the target, where it says one, else how the client speaks to us.
    pub fn scheme(&self) -> &'a str {
        match self.head.target.scheme_str() {
            Some(scheme) => scheme,
            None => self.exchange.map_or("http", |exchange| exchange.connection().scheme),
        }
    }

    /// The path; empty for CONNECT.
    pub fn path(&self) -> &'a str {
        match *self.method() {
            Method::CONNECT => "",
            _ => self.head.target.path(),
        }
    }

    /// The query, without the question mark.
    pub fn query(&self) -> Option<&'a str> {
        self.head.target.query()
    }

    /// The listener's name; empty without a record.
    pub fn listener(&self) -> &'a str {
        self.exchange.map_or("", |exchange| &exchange.connection().listener)
    }

    /// The route's name, where one matched.
    pub fn route(&self) -> Option<&'a str> {
        self.exchange.and_then(Exchange::route).map(|route| &**route)
    }

    /// The client: the trusted address, or the peer's. Without a record, the one in the
    /// request's extensions, or unknown.
    pub fn client(&self) -> ClientAddr {
        match self.exchange {
            Some(exchange) => exchange.client(),
            None => self.head.extensions.get().copied().unwrap_or(ClientAddr::unknown()),
        }
    }

    /// The user whose credentials were verified.
    pub fn user(&self) -> Option<Arc<str>> {
        let left = self.left.borrow().user.clone();
        left.or_else(|| self.exchange.and_then(Exchange::user).cloned())
            .or_else(|| self.head.extensions.get::<crate::User>().map(|user| Arc::clone(&user.0)))
    }

    /// The certificate that the client has shown in its TLS handshake, which was verified there.
    /// In another server than ours it may be put into the extensions.
    pub fn client_certificate(&self) -> Option<&Arc<ClientCertificate>> {
        let connection = self.exchange.map(Exchange::connection);
        let own = connection.and_then(|own| own.tls.as_deref()?.client.as_ref());
        // Inside of a tunnel it is the one that was shown for the tunnel.
        own.or_else(|| connection.and_then(|own| own.parent.as_deref()?.certificate.as_ref()))
            .or_else(|| self.head.extensions.get())
    }

    /// The server name of the client's TLS handshake, where there was one.
    pub fn server_name(&self) -> Option<ServerName> {
        let own = self.exchange.and_then(Exchange::get::<ServerName>);
        own.or_else(|| self.head.extensions.get::<ServerName>().cloned())
    }

    /// Whether a rule put this word on the request.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.left.borrow().tags.iter().any(|own| **own == *tag)
            || self.exchange.and_then(Exchange::get::<Tags>).is_some_and(|tags| tags.has(tag))
            || self.head.extensions.get::<Tags>().is_some_and(|tags| tags.has(tag))
    }

    /// Puts a word on the request, for the policies and layers behind.
    pub fn tag(&self, tag: &Arc<str>) {
        if !self.has_tag(tag) {
            self.left.borrow_mut().tags.push(Arc::clone(tag));
        }
    }

    /// Gives a field of the request this one value, if the request is passed on.
    pub fn set_field(&self, name: HeaderName, value: HeaderValue) {
        self.left.borrow_mut().set.push((name, value));
    }

    /// Takes a field away, if the request is passed on.
    pub fn remove_field(&self, name: HeaderName) {
        self.left.borrow_mut().removed.push(name);
    }

    /// Says who asks. Only what was verified is said.
    pub fn set_user(&self, user: Arc<str>) {
        self.left.borrow_mut().user = Some(user);
    }

    /// Writes a decision into the record, where there is one: for what a policy decides beside its
    /// verdict, which the layer writes.
    pub fn note(&self, rule: Option<&Arc<str>>, verdict: Recorded, reason: Cow<'static, str>) {
        if let Some(exchange) = self.exchange {
            exchange.decide(Decision { layer: LAYER, rule: rule.cloned(), verdict, reason });
        }
    }

    /// Writes, in a rehearsal only, why a rule does not apply.
    pub fn note_skipped(&self, rule: &Arc<str>, reason: &'static str) {
        if self.is_rehearsal() {
            self.note(Some(rule), Recorded::Skip, reason.into());
        }
    }

    pub(crate) fn restore(&mut self, left: Left) {
        self.left = RefCell::new(left);
    }

    pub(crate) fn into_left(self) -> Left {
        self.left.into_inner()
    }
}

/// The layer's name in the record.
pub(crate) const LAYER: &str = "filter";

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("method", self.method()).finish_non_exhaustive()
    }
}
