//! What a layer decided about a request.

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;

use crate::error::{ErrorKind, Side};

/// One decision of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The layer's name, such as `hygiene`.
    pub layer: &'static str,
    /// The id of the rule that decided, where rules have ids.
    pub rule: Option<Arc<str>>,
    /// What it decided.
    pub verdict: Verdict,
    /// Why, as a token.
    pub reason: Cow<'static, str>,
}

/// What a decision did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// The request goes on.
    Allow,
    /// The request was refused.
    Deny,
    /// The request would have been refused; the rule only reports.
    Report,
    /// The client was asked who it is (401, 407).
    Challenge,
    /// The request was refused because there were too many (429).
    Limit,
    /// The client was sent elsewhere by a rule.
    Redirect,
    /// The request or response was changed.
    Modify,
    /// Whether a tunnel is decrypted was decided; the reason says how.
    Intercept,
    /// A program was run for the request; the reason is its command line.
    Run,
    /// The request could not be answered: the upstream failed. Nobody refused it.
    Fail,
    /// The rule was tried and does not apply. Written in a
    /// [rehearsal](super::Exchange::set_rehearsal) only.
    Skip,
}

impl Verdict {
    /// The word in log and audit.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Report => "report",
            Self::Challenge => "challenge",
            Self::Limit => "limit",
            Self::Redirect => "redirect",
            Self::Modify => "modify",
            Self::Intercept => "intercept",
            Self::Run => "run",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }

    /// Whether the request got an answer of the proxy for it, and not the one it asked for.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Deny | Self::Challenge | Self::Limit | Self::Redirect | Self::Fail)
    }

    /// Whether it belongs into the audit trail: what was refused, or would have been, by policy,
    /// what was decided about interception, and which programs were run. Not what merely failed, and not the everyday
    /// (allowed, changed).
    pub const fn is_audited(self) -> bool {
        match self {
            Self::Deny
            | Self::Report
            | Self::Challenge
            | Self::Limit
            | Self::Redirect
            | Self::Intercept
            | Self::Run => true,
            Self::Allow | Self::Modify | Self::Fail | Self::Skip => false,
        }
    }

    /// What a refusal with this status and error did.
    pub fn of_refusal(status: StatusCode, error: ErrorKind) -> Self {
        match status.as_u16() {
            401 | 407 => Self::Challenge,
            429 => Self::Limit,
            300..=399 => Self::Redirect,
            _ if error.side() == Side::Upstream => Self::Fail,
            _ => Self::Deny,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_it_did() {
        for (status, error, verdict) in [
            (403, ErrorKind::HttpRequestDenied, Verdict::Deny),
            (404, ErrorKind::HttpRequestError, Verdict::Deny),
            (403, ErrorKind::DestinationIpProhibited, Verdict::Deny),
            (401, ErrorKind::HttpRequestDenied, Verdict::Challenge),
            (407, ErrorKind::HttpRequestDenied, Verdict::Challenge),
            (429, ErrorKind::HttpRequestDenied, Verdict::Limit),
            (302, ErrorKind::HttpRequestDenied, Verdict::Redirect),
            (502, ErrorKind::ConnectionRefused, Verdict::Fail),
            (504, ErrorKind::DnsTimeout, Verdict::Fail),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(Verdict::of_refusal(status, error), verdict, "{status}");
            assert!(verdict.is_refusal());
            assert_eq!(verdict.is_audited(), verdict != Verdict::Fail);
        }
    }
}
