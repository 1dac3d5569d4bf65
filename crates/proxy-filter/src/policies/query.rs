//! By a query parameter.

use proxy_core::matching::ValueTest;

use super::sense::{Sense, named};
use crate::asked::Asked;
use crate::policy::{Policy, Verdict};

/// Lets requests with some query parameter pass, or refuses them. Names and values are compared
/// decoded.
#[derive(Debug)]
pub struct QueryPolicy {
    name: Box<str>,
    test: ValueTest,
    sense: Sense,
}

impl QueryPolicy {
    /// Only requests whose parameter of this name is as the test says pass.
    pub fn allow(name: &str, test: ValueTest) -> Self {
        Self { name: name.into(), test, sense: Sense::allow("denied_by_rule") }
    }

    /// Requests whose parameter of this name is as the test says are refused.
    pub fn deny(name: &str, test: ValueTest) -> Self {
        Self { name: name.into(), test, sense: Sense::deny("denied_by_rule") }
    }
}

named!(QueryPolicy);

impl Policy for QueryPolicy {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        self.sense.judge(self.test.holds_for_parameter(&self.name, asked.query()))
    }
}
