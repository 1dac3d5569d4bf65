//! `ProxyError`: what went wrong, in one word.
//!
//! The word is an error type of RFC 9209 (section 2.3) where one fits. Status,
//! `Proxy-Status` token, log word and metric label all derive from it, so they
//! can not disagree.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;

/// A boxed error of any kind, as tower and hyper use it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Who caused an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client sent something wrong, or left.
    Client,
    /// The upstream connection or its response failed.
    Upstream,
    /// The proxy itself: its policy, its configuration, or a defect.
    Internal,
}

impl Side {
    /// `client`, `upstream` or `internal`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Internal => "internal",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $token:literal, $status:ident, $side:ident;)*) => {
        /// What went wrong: the proxy error types of RFC 9209 section 2.3.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[$doc])* $name,)* }

        impl ErrorKind {
            /// Every kind, for tables of metrics and documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The token of RFC 9209, the word in log, metric label and `Proxy-Status`.
            pub const fn token(self) -> &'static str {
                match self { $(Self::$name => $token,)* }
            }

            /// The status of the response that the proxy makes for it.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// Who caused it.
            pub const fn side(self) -> Side {
                match self { $(Self::$name => Side::$side,)* }
            }
        }
    };
}

kinds! {
    /// The resolver did not answer in time.
    DnsTimeout = "dns_timeout", GATEWAY_TIMEOUT, Upstream;
    /// The resolver answered with an error, or with no address.
    DnsError = "dns_error", BAD_GATEWAY, Upstream;
    /// No upstream is configured or healthy for this request.
    DestinationNotFound = "destination_not_found", INTERNAL_SERVER_ERROR, Internal;
    /// The upstream is known to be down.
    DestinationUnavailable = "destination_unavailable", SERVICE_UNAVAILABLE, Upstream;
    /// The guard forbids the address, or the port.
    DestinationIpProhibited = "destination_ip_prohibited", FORBIDDEN, Internal;
    /// No route to the address.
    DestinationIpUnroutable = "destination_ip_unroutable", BAD_GATEWAY, Upstream;
    /// The connection was refused.
    ConnectionRefused = "connection_refused", BAD_GATEWAY, Upstream;
    /// The connection was closed before a complete response came.
    ConnectionTerminated = "connection_terminated", BAD_GATEWAY, Upstream;
    /// Connecting took too long.
    ConnectionTimeout = "connection_timeout", GATEWAY_TIMEOUT, Upstream;
    /// Reading from the upstream took too long.
    ConnectionReadTimeout = "connection_read_timeout", GATEWAY_TIMEOUT, Upstream;
    /// Writing to the upstream took too long.
    ConnectionWriteTimeout = "connection_write_timeout", GATEWAY_TIMEOUT, Upstream;
    /// No connection slot was free.
    ConnectionLimitReached = "connection_limit_reached", SERVICE_UNAVAILABLE, Internal;
    /// The upstream's TLS handshake or a record of it failed.
    TlsProtocolError = "tls_protocol_error", BAD_GATEWAY, Upstream;
    /// The upstream's certificate could not be verified.
    TlsCertificateError = "tls_certificate_error", BAD_GATEWAY, Upstream;
    /// The upstream refused the TLS handshake.
    TlsAlertReceived = "tls_alert_received", BAD_GATEWAY, Upstream;
    /// The request is not HTTP as it should be.
    HttpRequestError = "http_request_error", BAD_REQUEST, Client;
    /// Policy denies the request.
    HttpRequestDenied = "http_request_denied", FORBIDDEN, Client;
    /// The upstream's response ended too early.
    HttpResponseIncomplete = "http_response_incomplete", BAD_GATEWAY, Upstream;
    /// The upstream's header section is too large.
    HttpResponseHeaderSectionSize = "http_response_header_section_size", BAD_GATEWAY, Upstream;
    /// The upstream's transfer coding is broken or unknown.
    HttpResponseTransferCoding = "http_response_transfer_coding", BAD_GATEWAY, Upstream;
    /// The upstream's content is not in the coding that it is said to be in, or grows beyond all
    /// bounds when it is decoded.
    HttpResponseContentCoding = "http_response_content_coding", BAD_GATEWAY, Upstream;
    /// The upstream took too long to answer.
    HttpResponseTimeout = "http_response_timeout", GATEWAY_TIMEOUT, Upstream;
    /// The upstream answered an upgrade that nobody asked for.
    HttpUpgradeFailed = "http_upgrade_failed", BAD_GATEWAY, Upstream;
    /// The upstream broke the protocol in another way.
    HttpProtocolError = "http_protocol_error", BAD_GATEWAY, Upstream;
    /// A defect of the proxy.
    ProxyInternalError = "proxy_internal_error", INTERNAL_SERVER_ERROR, Internal;
    /// The configuration does not allow the request to be served.
    ProxyConfigurationError = "proxy_configuration_error", INTERNAL_SERVER_ERROR, Internal;
    /// The request has been here before.
    ProxyLoopDetected = "proxy_loop_detected", LOOP_DETECTED, Client;
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// An error of the upstream side (or of the proxy itself), one word wide.
///
/// `Display` prints its own level only; the cause is in `source()`.
///
/// ```
/// use proxy_core::{ErrorKind, ProxyError, Retry};
/// let e = ProxyError::new(ErrorKind::ConnectionRefused).retry(Retry::NothingSent);
/// assert_eq!(e.to_string(), "connection_refused");
/// assert_eq!(e.status(), 502);
/// ```
pub struct ProxyError(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    status: Option<StatusCode>,
    detail: Option<&'static str>,
    decided: Option<(&'static str, Arc<str>)>,
    source: Option<BoxError>,
}

/// Whether the same request may be sent again after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Retry {
    /// Sending it again could do harm, or could not help.
    #[default]
    Never,
    /// It may have been seen; only an idempotent request (RFC 9110 section 9.2.2) may go again.
    IfIdempotent,
    /// Not one byte of it was sent: any request may go again.
    NothingSent,
}

impl ProxyError {
    /// An error of this kind, not retryable.
    pub fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            retry: Retry::Never,
            status: None,
            detail: None,
            decided: None,
            source: None,
        }))
    }

    /// Says whether a retry is safe.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// A more exact status than the kind's own, such as 408 for a request error.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Adds a fixed phrase that may be shown to an operator, never to a client.
    #[must_use]
    pub fn detail(mut self, detail: &'static str) -> Self {
        self.0.detail = Some(detail);
        self
    }

    /// Names the layer that refused, and the id of its rule: it is a refusal by policy.
    #[must_use]
    pub fn decided(mut self, layer: &'static str, rule: impl Into<Arc<str>>) -> Self {
        self.0.decided = Some((layer, rule.into()));
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The status of the response made for it.
    pub fn status(&self) -> StatusCode {
        self.0.status.unwrap_or(self.0.kind.status())
    }

    /// Whether the request may be sent again.
    pub fn retry_safety(&self) -> Retry {
        self.0.retry
    }

    /// The fixed phrase, for the log.
    pub fn detail_str(&self) -> Option<&'static str> {
        self.0.detail
    }

    /// The layer that refused and the id of its rule, where a policy did.
    pub fn decision(&self) -> Option<(&'static str, &Arc<str>)> {
        self.0.decided.as_ref().map(|(layer, rule)| (*layer, rule))
    }

    /// Finds a `ProxyError` anywhere in a chain of causes.
    pub fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(e) = next {
            if let Some(found) = e.downcast_ref::<Self>() {
                return Some(found);
            }
            // An io::Error that wraps a custom error does not show it as its source, but the
            // source of that: look inside.
            if let Some(io) = e.downcast_ref::<std::io::Error>()
                && let Some(inner) = io.get_ref()
                && let Some(found) = inner.downcast_ref::<Self>()
            {
                return Some(found);
            }
            next = e.source();
        }
        None
    }
}

impl From<ErrorKind> for ProxyError {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.token())?;
        match self.0.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyError")
            .field("kind", &self.0.kind)
            .field("retry", &self.0.retry)
            .field("detail", &self.0.detail)
            .field("decided", &self.0.decided)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_error_is_found_through_io_and_box() {
        let io = std::io::Error::other(ProxyError::new(ErrorKind::HttpProtocolError));
        let found = ProxyError::find(&io).expect("found");
        assert_eq!(found.kind(), ErrorKind::HttpProtocolError);
        assert!(ProxyError::find(&std::io::Error::other("no")).is_none());
    }

    #[test]
    fn tokens_are_unique_and_statuses_are_errors() {
        let mut tokens: Vec<_> = ErrorKind::ALL.iter().map(|k| k.token()).collect();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), ErrorKind::ALL.len());
        for kind in ErrorKind::ALL {
            assert!(kind.status().as_u16() >= 400);
        }
    }
}
