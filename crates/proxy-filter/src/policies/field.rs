//! By a field.

use http::HeaderName;
use proxy_core::matching::ValueTest;

use super::sense::{Sense, named};
use crate::asked::Asked;
use crate::policy::{Policy, Verdict};

/// Lets requests with some field pass, or refuses them. Of several field lines, one is enough.
#[derive(Debug)]
pub struct FieldPolicy {
    name: HeaderName,
    test: ValueTest,
    sense: Sense,
}

impl FieldPolicy {
    /// Only requests whose field of this name is as the test says pass.
    pub const fn allow(name: HeaderName, test: ValueTest) -> Self {
        Self { name, test, sense: Sense::allow("denied_by_rule") }
    }

    /// Requests whose field of this name is as the test says are refused.
    pub const fn deny(name: HeaderName, test: ValueTest) -> Self {
        Self { name, test, sense: Sense::deny("denied_by_rule") }
    }
}

named!(FieldPolicy);

impl Policy for FieldPolicy {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        self.sense.judge(self.test.holds_for_field(&self.name, asked.fields()))
    }
}
