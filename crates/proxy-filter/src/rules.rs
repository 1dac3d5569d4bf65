//! Ordered rules: the first that enforces ends them.
//!
//! A rule has an id, conditions that must all hold, and an action. What it enforces:
//!
//! | action | does |
//! |---|---|
//! | allow | ends the rules, and nothing else: the policies behind are still asked |
//! | deny | refuses |
//! | redirect | sends the client to a fixed target |
//! | rate_limit | counts the request; where there were too many, refuses with 429, else goes on |
//! | tag, set_field | leaves a mark on the request, and goes on |
//!
//! A rule in the mode `report` ends nothing and changes nothing: the record says that it matched,
//! and what it would have done.
//!
//! A rule in that mode with `rate_limit` counts apart ([`Limit::apart`]): it takes nothing of what
//! other rules and layers count.
//!
//! In a rehearsal the record says of each rule that was tried, and did not match, which condition
//! did not hold.

mod compile;
mod conditions;
mod connect;
mod spec;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use proxy_core::{Refusal, Verdict as Recorded};

pub use compile::{Resources, RuleError};
pub use spec::{ActionSpec, FieldTest, MatchSpec, Mode, RuleSpec};

use crate::asked::Asked;
use crate::limit::Limit;
use crate::policy::{Policy, Redirection, Verdict};
use conditions::Conditions;
pub(crate) use connect::Connected;

/// Rules in their order, compiled. A [`Policy`].
#[derive(Debug, Default)]
pub struct Rules {
    rules: Box<[Rule]>,
    /// What becomes of a request that no rule decided about.
    denies: bool,
    /// Fields that rules look at.
    fields: Box<[HeaderName]>,
}

/// One rule.
struct Rule {
    id: Arc<str>,
    conditions: Conditions,
    action: Action,
    mode: Mode,
}

enum Action {
    Allow,
    Deny { status: StatusCode, page: Option<Arc<str>> },
    Redirect { status: StatusCode, location: HeaderValue },
    Tag(Arc<str>),
    SetField(HeaderName, HeaderValue),
    RateLimit(Arc<dyn Limit>),
}

impl Rules {
    /// Compiles rules, in their order.
    ///
    /// # Errors
    /// Every mistake in every rule.
    pub fn compile(specs: &[RuleSpec], resources: &Resources) -> Result<Self, Vec<RuleError>> {
        let rules = compile::rules(specs, resources)?;
        let fields = connect::fields_of(&rules);
        Ok(Self { rules, denies: false, fields })
    }

    /// Refuses what no rule decided about: the rules are then a list of what is allowed.
    #[must_use]
    pub const fn deny_by_default(mut self) -> Self {
        self.denies = true;
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none, so that every request passes.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && !self.denies
    }
}

impl Policy for Rules {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        for rule in &self.rules {
            if let Some(unmet) = rule.conditions.unmet(asked) {
                asked.note_skipped(&rule.id, unmet);
                continue;
            }
            match rule.apply(asked) {
                Some(Verdict::Allow) => return self.passed(asked),
                Some(verdict) => return verdict,
                None => {}
            }
        }
        if self.denies {
            return Refusal::new(StatusCode::FORBIDDEN, "no_rule_allows").rule("default").into();
        }
        self.passed(asked)
    }
}

impl Rules {
    fn passed(&self, asked: &Asked<'_>) -> Verdict {
        if *asked.method() == Method::CONNECT && !asked.is_again() {
            Connected::leave(asked, &self.fields);
        }
        Verdict::Allow
    }
}

impl Rule {
    /// What a rule that matches does; none where the rules go on.
    fn apply(&self, asked: &Asked<'_>) -> Option<Verdict> {
        if self.mode == Mode::Report {
            return self.report(asked);
        }
        match &self.action {
            Action::Allow => {
                asked.note(Some(&self.id), Recorded::Allow, "allowed_by_rule".into());
                return Some(Verdict::Allow);
            }
            Action::Deny { status, page } => return Some(self.denial(*status, page).into()),
            Action::Redirect { status, location } => {
                return Some(Verdict::Redirect(Box::new(Redirection {
                    status: *status,
                    location: location.clone(),
                    reason: "redirected_by_rule",
                    rule: Some(Arc::clone(&self.id)),
                })));
            }
            Action::Tag(tag) => {
                asked.note(Some(&self.id), Recorded::Modify, Cow::Owned(format!("tag {tag}")));
                asked.tag(tag);
            }
            Action::SetField(name, value) => {
                let what = Cow::Owned(format!("set_field {name}"));
                asked.note(Some(&self.id), Recorded::Modify, what);
                asked.set_field(name.clone(), value.clone());
            }
            // A tunnel is counted when it is asked for, not once more for the name in it.
            Action::RateLimit(_) if asked.is_again() => {}
            Action::RateLimit(limit) => {
                if let Err(exceeded) = limit.count(asked) {
                    return Some(Verdict::Deny(Box::new(exceeded.refusal(&self.id))));
                }
                if asked.is_rehearsal() {
                    asked.note(Some(&self.id), Recorded::Allow, "within_rate_limit".into());
                }
            }
        }
        None
    }

    fn report(&self, asked: &Asked<'_>) -> Option<Verdict> {
        let reason = match &self.action {
            Action::Allow => "allowed_by_rule".into(),
            Action::Deny { .. } => "denied_by_rule".into(),
            Action::Redirect { .. } => "redirected_by_rule".into(),
            Action::Tag(tag) => Cow::Owned(format!("tag {tag}")),
            Action::SetField(name, _) => Cow::Owned(format!("set_field {name}")),
            Action::RateLimit(_) if asked.is_again() => return None,
            Action::RateLimit(limit) => match limit.count(asked) {
                Ok(()) => return None,
                Err(_) => "rate_limited".into(),
            },
        };
        asked.note(Some(&self.id), Recorded::Report, reason);
        None
    }

    fn denial(&self, status: StatusCode, page: &Option<Arc<str>>) -> Refusal {
        let mut refusal = Refusal::new(status, "denied_by_rule").rule(Arc::clone(&self.id));
        refusal.message.clone_from(page);
        // Whatever the status: it is policy that refused.
        refusal.error = proxy_core::ErrorKind::HttpRequestDenied;
        refusal
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("id", &self.id)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
