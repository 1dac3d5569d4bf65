//! `Shadow` and `ShadowLayer`: what would have been done, without doing it.

mod layer;
mod scratch;

use std::fmt;
use std::sync::Arc;

use proxy_core::{Refusal, Verdict as Recorded};

pub use layer::{Probe, ShadowFuture, ShadowLayer, Shadowed};

use crate::asked::Asked;
use crate::policy::{Policy, Redirection, Verdict};

/// A policy that only reports: what it would have refused passes, and the record says so, with the
/// verdict `report`.
///
/// What its policy leaves on a request (tags, fields, the user) stays, so that one built on another
/// sees what it would see. One that defers still makes the request wait.
pub struct Shadow {
    policy: Arc<dyn Policy>,
}

impl Shadow {
    /// The shadow of a policy.
    pub fn new(policy: impl Policy) -> Self {
        Self::shared(Arc::new(policy))
    }

    /// The shadow of one that others hold too.
    pub fn shared(policy: Arc<dyn Policy>) -> Self {
        Self { policy }
    }
}

impl Policy for Shadow {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        report(self.policy.judge(asked), asked)
    }
}

fn report(verdict: Verdict, asked: &Asked<'_>) -> Verdict {
    match verdict {
        Verdict::Allow => {}
        Verdict::Deny(refusal) | Verdict::Challenge(refusal) => note_refusal(asked, &refusal),
        Verdict::Redirect(redirect) => note_redirect(asked, &redirect),
        Verdict::Defer(deferred) => {
            return Verdict::defer_with(deferred, |conclusion, asked| {
                report(conclusion(asked), asked)
            });
        }
    }
    Verdict::Allow
}

pub(crate) fn note_refusal(asked: &Asked<'_>, refusal: &Refusal) {
    asked.note(refusal.rule_id.as_ref(), Recorded::Report, refusal.reason.into());
}

fn note_redirect(asked: &Asked<'_>, redirect: &Redirection) {
    asked.note(redirect.rule.as_ref(), Recorded::Report, redirect.reason.into());
}

impl fmt::Debug for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shadow").finish_non_exhaustive()
    }
}
