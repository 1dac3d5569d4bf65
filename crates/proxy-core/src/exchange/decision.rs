//! What a layer decided about a request.

use std::borrow::Cow;
use std::sync::Arc;

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
    /// The request or response was changed.
    Modify,
}

impl Verdict {
    /// The word in log and audit.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Report => "report",
            Self::Modify => "modify",
        }
    }
}
