//! Whether what a policy names is what passes or what is refused.

use std::sync::Arc;

use http::StatusCode;
use proxy_core::Refusal;

use crate::policy::Verdict;

/// Which way a condition cuts, and in whose name.
#[derive(Clone, Debug)]
pub(crate) struct Sense {
    allows: bool,
    reason: &'static str,
    pub(crate) rule: Option<Arc<str>>,
}

impl Sense {
    /// Only what the condition takes in passes.
    pub(crate) const fn allow(reason: &'static str) -> Self {
        Self { allows: true, reason, rule: None }
    }

    /// What the condition takes in is refused.
    pub(crate) const fn deny(reason: &'static str) -> Self {
        Self { allows: false, reason, rule: None }
    }

    /// The verdict, where the condition holds or not.
    pub(crate) fn judge(&self, holds: bool) -> Verdict {
        if holds == self.allows { Verdict::Allow } else { self.refusal().into() }
    }

    pub(crate) fn refusal(&self) -> Refusal {
        let refusal = Refusal::new(StatusCode::FORBIDDEN, self.reason);
        match &self.rule {
            Some(rule) => refusal.rule(Arc::clone(rule)),
            None => refusal,
        }
    }
}

/// The `rule` of a policy.
macro_rules! named {
    ($policy:ident) => {
        impl $policy {
            /// The id by which it is named in the record and on the page. Default: none.
            #[must_use]
            pub fn rule(mut self, id: impl Into<std::sync::Arc<str>>) -> Self {
                self.sense.rule = Some(id.into());
                self
            }
        }
    };
}

pub(crate) use named;
