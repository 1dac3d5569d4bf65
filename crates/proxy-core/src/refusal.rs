//! `Refusal`: an answer that a layer makes instead of passing the request on.
//!
//! It rides in the extensions of a response without content; the one outermost
//! [`ErrorPages`](crate::error_pages::ErrorPagesLayer) writes the page. So layers do not each
//! write pages, and an embedder restyles them in one place.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::body::Reply;
use crate::error::{ErrorKind, ProxyError};
use crate::exchange::{Decision, Exchange, Verdict};

/// Why a request is refused, or why it failed.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The status to answer with.
    pub status: StatusCode,
    /// The reason as a token, such as `method_not_allowed`. Shown to the client.
    pub reason: &'static str,
    /// The error type of RFC 9209, for `Proxy-Status`, log and metrics.
    pub error: ErrorKind,
    /// The id of the rule that refused.
    pub rule_id: Option<Arc<str>>,
    /// When a retry may succeed.
    pub retry_after: Option<Duration>,
    /// Whether the connection must not carry a further request.
    pub close: bool,
    /// A sentence for the page, in the operator's words; the reason's own where there is none.
    pub message: Option<Arc<str>>,
    /// Fields that the status needs: `Allow`, `Proxy-Authenticate`. Boxed: few refusals have any.
    pub fields: Option<Box<HeaderMap>>,
}

impl Refusal {
    /// A refusal by policy or validation.
    pub fn new(status: StatusCode, reason: &'static str) -> Self {
        Self {
            status,
            reason,
            error: match status.as_u16() {
                400 | 404 | 405 | 408 | 411 | 413..=417 | 421 | 431 | 501 | 505 => {
                    ErrorKind::HttpRequestError
                }
                508 => ErrorKind::ProxyLoopDetected,
                503 => ErrorKind::ConnectionLimitReached,
                500 => ErrorKind::ProxyInternalError,
                _ => ErrorKind::HttpRequestDenied,
            },
            rule_id: None,
            retry_after: None,
            close: false,
            message: None,
            fields: None,
        }
    }

    /// The refusal that an error stands for.
    pub fn from_error(error: &ProxyError) -> Self {
        // What the client did wrong is told exactly; of an upstream only what the kind says, never
        // what a name resolved to.
        let reason = match error.detail_str() {
            Some(detail) if error.kind() == ErrorKind::HttpRequestError => detail,
            Some(detail @ "port_not_allowed") => detail,
            // A policy's own word for its rule.
            Some(detail) if error.kind() == ErrorKind::HttpRequestDenied => detail,
            _ => error.kind().token(),
        };
        let mut refusal = Self::new(error.status(), reason);
        refusal.error = error.kind();
        refusal.rule_id = error.decision().map(|(_, rule)| Arc::clone(rule));
        if error.status() == StatusCode::SERVICE_UNAVAILABLE {
            refusal.retry_after = Some(Duration::from_secs(1));
        }
        // A request that broke off leaves a connection whose framing nobody knows.
        refusal.close = error.kind() == ErrorKind::HttpRequestError;
        refusal
    }

    /// Closes the connection after the answer.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// Names the rule.
    #[must_use]
    pub fn rule(mut self, id: impl Into<Arc<str>>) -> Self {
        self.rule_id = Some(id.into());
        self
    }

    /// Says when a retry may succeed.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Says on the page what the operator wrote. Never anything of the request.
    #[must_use]
    pub fn message(mut self, message: impl Into<Arc<str>>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// The sentence for the page.
    pub fn sentence(&self) -> Option<&str> {
        self.message.as_deref().or_else(|| explain(self.reason))
    }

    /// Adds a field to the answer.
    #[must_use]
    pub fn field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.get_or_insert_default().append(name, value);
        self
    }

    /// Writes the error and the decision into the record, where there is one.
    #[must_use]
    pub fn recorded(self, exchange: Option<&Exchange>, layer: &'static str) -> Self {
        if let Some(exchange) = exchange {
            exchange.set_error(self.error);
            exchange.decide(Decision {
                layer,
                rule: self.rule_id.clone(),
                verdict: Verdict::of_refusal(self.status, self.error),
                reason: Cow::Borrowed(self.reason),
            });
        }
        self
    }

    /// The answer: status and fields, the refusal in the extensions, no content yet.
    pub fn into_response<B>(mut self) -> Response<Reply<B>> {
        let mut response = Response::new(Reply::made(bytes::Bytes::new()));
        *response.status_mut() = self.status;
        if let Some(fields) = self.fields.take() {
            *response.headers_mut() = *fields;
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// A short text for a reason token: what went wrong and what the client could do. Fixed texts
/// only: nothing from the request is ever echoed.
pub fn explain(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "origin_form_on_forward_listener" => {
            "This is a forward proxy. Configure it as your client's HTTP proxy; it does not serve pages of its own."
        }
        "connect_on_gateway" => "This is a gateway. It does not open tunnels.",
        "no_route" => "No route of this gateway matches the request.",
        "method_not_allowed" => {
            "The resource exists, but not for this method. See the Allow field."
        }
        "client_not_allowed" => "The policy of this server does not permit your address.",
        "denied_by_rule" => "The policy of this server does not permit this request.",
        "domain_blocked" => "The policy of this proxy does not permit this name.",
        "domain_not_allowed" => "The policy of this proxy permits certain names only.",
        "no_rule_allows" => "The policy of this server permits certain requests only.",
        "credentials_required" => "Name and password are required.",
        "credentials_wrong" => "Name or password is wrong.",
        "user_not_allowed" => "The policy of this server does not permit this user.",
        "credentials_busy" => "Too many passwords are being checked. Try again in a moment.",
        "authorization_unavailable" => {
            "Whether you may use this can not be found out at present. Try again in a moment."
        }
        "policy_failed" => "The policy of this server could not be judged.",
        "destination_ip_prohibited" => "The policy of this proxy does not permit this destination.",
        "port_not_allowed" => "The policy of this proxy does not permit this port.",
        "proxy_loop_detected" => "The request has passed this proxy before.",
        "too_many_hops" => "The request has passed too many proxies.",
        "content_too_large" => "The content is larger than this server takes.",
        "request_inspection" => {
            "The request looks like an attack on the server. If it is none, tell the operator its request id."
        }
        "response_inspection" => "The policy of this server keeps this response back.",
        "content_too_slow" | "header_timeout" => "The request took too long to arrive.",
        "rate_limited" => "You have sent too many requests. See the Retry-After field.",
        "too_many_at_once" => "You have too many requests under way. Try again in a moment.",
        "overloaded" => "Too many requests are under way here. Try again in a moment.",
        "websocket" => "WebSocket is not offered here.",
        "dns_error" => "The name of the upstream server could not be resolved.",
        "dns_timeout" => "The name of the upstream server could not be resolved in time.",
        "connection_refused" => "The upstream server refused the connection.",
        "connection_timeout" => "The upstream server could not be reached in time.",
        "http_response_timeout" => "The upstream server did not answer in time.",
        "connection_terminated" | "http_response_incomplete" => {
            "The upstream server closed the connection before its response was complete."
        }
        "content_coding_malformed" | "content_coding_incomplete" => {
            "What the upstream server sent is not compressed as it says it is."
        }
        "content_coding_nested" => {
            "What the upstream server sent is compressed more often than this proxy undoes."
        }
        "decompression_bomb" | "decoded_content_too_large" => {
            "What was sent becomes larger than is allowed when it is decompressed."
        }
        "param_unknown" => "The request has a parameter that this resource does not know.",
        "param_repeated" => "The request has a parameter more than once.",
        "param_missing" => "A parameter that this resource needs is missing.",
        "param_out_of_range" => "A parameter is outside of its range.",
        "param_too_long" => "A parameter is too long.",
        "param_not_an_integer" | "param_not_a_number" => "A parameter is expected to be a number.",
        "param_not_a_boolean" => "A parameter is expected to be true or false.",
        "param_not_a_choice" => "A parameter has none of the values that it may have.",
        "param_pattern" => "A parameter does not have the form that is expected.",
        "param_not_a_url" => "A parameter is expected to be an http or https URL.",
        "param_not_a_value" | "param_not_an_object" | "param_json" => {
            "The content is expected to be one flat JSON object."
        }
        "param_path" => "A parameter is expected to be a relative path, without `.` and `..`.",
        "param_path_unknown" => "What a parameter names is not there.",
        "param_encoding" => "A parameter is no text in UTF-8.",
        "param_control" => "A parameter has a control character.",
        "param_leading_dash" => "A parameter begins with a dash, which is not taken here.",
        "param_media_type" => "The content is not of the media type that this resource reads.",
        "arguments_too_large" => "The parameters are larger than a program takes.",
        "content_incomplete" => "The content ended before it was complete.",
        "cross_site" => "Pages of other sites can not use this resource.",
        "host_not_local" => "This resource answers under names of its own machine only.",
        "runs_exhausted" | "processes_exhausted" => {
            "Too many programs are running here. Try again in a moment."
        }
        "program_failed" | "program_ended_by_signal" => {
            "The program behind this resource failed. The operator's log has more."
        }
        "program_silent" | "program_too_slow" => {
            "The program behind this resource did not answer in time."
        }
        "program_output_too_large" => "The output of the program is larger than is allowed.",
        "program_output_without_fields" => "The output of the program does not begin with fields.",
        "program_not_found"
        | "program_not_executable"
        | "program_directory"
        | "program_confinement"
        | "program_not_started" => "The program behind this resource could not be started.",
        "audit_unavailable" => {
            "This server can not record its decisions at present, and serves nothing unrecorded."
        }
        "proxy_internal_error" => "The proxy failed. The failure was recorded.",
        _ => return None,
    })
}
