//! `Limit`: the seam between rules and rate limits.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use proxy_core::Refusal;

use crate::asked::Asked;

/// Counts a request, and says whether there were too many. A rule with the action `rate_limit`
/// names one; what is counted together (client, route, user, field) is the limit's own affair.
///
/// Asked for each request that comes to it, once. In a [rehearsal](Asked::is_rehearsal) it answers
/// without counting.
pub trait Limit: Send + Sync + 'static {
    /// Counts the request.
    ///
    /// # Errors
    /// When there were too many.
    fn count(&self, asked: &Asked<'_>) -> Result<(), Exceeded>;

    /// One that says the same and counts for itself, for rules that only report: these must not
    /// take what others count. None, as by default, where it has no budget that others share.
    fn apart(&self) -> Option<Arc<dyn Limit>> {
        None
    }
}

impl<F> Limit for F
where
    F: Fn(&Asked<'_>) -> Result<(), Exceeded> + Send + Sync + 'static,
{
    fn count(&self, asked: &Asked<'_>) -> Result<(), Exceeded> {
        self(asked)
    }
}

/// There were too many requests.
#[derive(Clone, Debug, Default)]
pub struct Exceeded {
    /// When one would be let pass again, for `Retry-After`.
    pub retry_after: Option<Duration>,
    /// Fields of the answer, such as `RateLimit` and `RateLimit-Policy`.
    pub fields: HeaderMap,
}

impl Exceeded {
    /// The 429, in the name of a rule.
    pub fn refusal(self, rule: &Arc<str>) -> Refusal {
        let mut refusal =
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited").rule(Arc::clone(rule));
        refusal.retry_after = self.retry_after;
        for (name, value) in &self.fields {
            refusal = refusal.field(name.clone(), value.clone());
        }
        refusal
    }
}
