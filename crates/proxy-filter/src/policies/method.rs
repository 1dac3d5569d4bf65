//! By the method.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use proxy_core::Refusal;

use super::sense::{Sense, named};
use crate::asked::Asked;
use crate::policy::{Policy, Verdict};

/// Lets some methods pass, or refuses them: exactly, so that `GET` does not take in `HEAD`.
/// What is not allowed gets 405 with `Allow`; what is denied, 403.
#[derive(Clone, Debug)]
pub struct MethodPolicy {
    methods: Box<[Method]>,
    allow: Option<HeaderValue>,
    sense: Sense,
}

impl MethodPolicy {
    /// Only these methods pass.
    pub fn allow(methods: impl IntoIterator<Item = Method>) -> Self {
        let methods: Box<[Method]> = methods.into_iter().collect();
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        let allow = HeaderValue::try_from(names.join(", "));
        // A method is a token, which a field value takes.
        let allow = Some(allow.unwrap_or_else(|_| HeaderValue::from_static("")));
        Self { methods, allow, sense: Sense::allow("method_not_allowed") }
    }

    /// These methods are refused.
    pub fn deny(methods: impl IntoIterator<Item = Method>) -> Self {
        let methods = methods.into_iter().collect();
        Self { methods, allow: None, sense: Sense::deny("denied_by_rule") }
    }
}

named!(MethodPolicy);

impl Policy for MethodPolicy {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let verdict = self.sense.judge(self.methods.contains(asked.method()));
        let (Some(allow), false) = (&self.allow, verdict.is_allow()) else { return verdict };
        let mut refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
            .field(header::ALLOW, allow.clone());
        refusal.rule_id = self.sense.rule.as_ref().map(Arc::clone);
        refusal.into()
    }
}
