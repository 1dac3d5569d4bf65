//! `DomainPolicy`: requests are judged by lists of names.

use std::sync::Arc;

use http::StatusCode;
use proxy_core::name_policy::{Finding, FoundName, NamePolicy, NameSource};
use proxy_core::{Exchange, Refusal, Verdict as Recorded};

use super::lists::{DomainLists, Listed};
use crate::asked::Asked;
use crate::policy::{Policy, Verdict};

/// Refuses hosts that are blocked, or that are not among the only ones, with 403. Also judges the
/// names that turn up on the way: aliases in DNS, and names inside of tunnels.
///
/// The rule ids are `block_domains` and `only_domains`.
#[derive(Clone, Debug)]
pub struct DomainPolicy {
    lists: DomainLists,
    block: Arc<str>,
    only: Arc<str>,
}

impl DomainPolicy {
    /// Judges by these lists.
    pub fn new(lists: DomainLists) -> Self {
        Self { lists, block: "block_domains".into(), only: "only_domains".into() }
    }

    /// The lists.
    pub const fn lists(&self) -> &DomainLists {
        &self.lists
    }
}

impl Policy for DomainPolicy {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let (rule, reason) = match self.lists.judge(asked.host(), true) {
            Listed::Free => {
                asked.note_skipped(&self.block, "no list has the name");
                return Verdict::Allow;
            }
            Listed::Blocked { name, list } => {
                if asked.is_rehearsal() {
                    let why = format!("{name} is in {list}");
                    asked.note(Some(&self.block), Recorded::Deny, why.into());
                }
                (&self.block, "domain_blocked")
            }
            Listed::Unlisted => (&self.only, "domain_not_allowed"),
        };
        Refusal::new(StatusCode::FORBIDDEN, reason).rule(Arc::clone(rule)).into()
    }
}

impl NamePolicy for DomainPolicy {
    /// An alias is refused where it is blocked; it need not be among the only names, for it is
    /// nothing that the client asked for. The name inside of a tunnel is.
    fn judge_name(&self, found: &FoundName<'_>, _: Option<&Exchange>) -> Vec<Finding> {
        match self.lists.judge(found.name, found.source != NameSource::Alias) {
            Listed::Free => Vec::new(),
            Listed::Blocked { .. } => {
                vec![Finding::refuse(Arc::clone(&self.block), "domain_blocked")]
            }
            Listed::Unlisted => {
                vec![Finding::refuse(Arc::clone(&self.only), "domain_not_allowed")]
            }
        }
    }
}
