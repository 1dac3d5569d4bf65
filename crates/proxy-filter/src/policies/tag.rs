//! By a word that a rule put on the request.

use std::sync::Arc;

use super::sense::{Sense, named};
use crate::asked::Asked;
use crate::policy::{Policy, Verdict};

/// Lets requests with some tag pass, or refuses them.
#[derive(Clone, Debug)]
pub struct TagPolicy {
    tag: Arc<str>,
    sense: Sense,
}

impl TagPolicy {
    /// Only requests with this tag pass.
    pub fn allow(tag: &str) -> Self {
        Self { tag: tag.into(), sense: Sense::allow("denied_by_rule") }
    }

    /// Requests with this tag are refused.
    pub fn deny(tag: &str) -> Self {
        Self { tag: tag.into(), sense: Sense::deny("denied_by_rule") }
    }
}

named!(TagPolicy);

impl Policy for TagPolicy {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        self.sense.judge(asked.has_tag(&self.tag))
    }
}
