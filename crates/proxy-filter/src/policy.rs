//! `Policy`: judges one request by its head.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use proxy_core::Refusal;

use crate::asked::Asked;

/// Judges requests. Object-safe: a layer holds a list of them, of any kinds.
///
/// It sees the head and what is known of the exchange, never the content, and answers at once; one
/// that has to wait answers [`Verdict::Defer`]. One that can not tell denies. Where
/// [`Asked::is_rehearsal`], it changes nothing outside of the request: it counts nothing and starts
/// nothing.
///
/// A closure is a policy; [`policy`] helps the compiler to see that it is one:
///
/// ```
/// use http::StatusCode;
/// use proxy_core::Refusal;
/// use proxy_filter::{FilterLayer, Verdict, policy};
///
/// let layer = FilterLayer::new(policy(|asked| match asked.path().starts_with("/internal") {
///     true => Refusal::new(StatusCode::NOT_FOUND, "no_route").into(),
///     false => Verdict::Allow,
/// }));
/// # drop(layer);
/// ```
pub trait Policy: Send + Sync + 'static {
    /// What it says to a request.
    fn judge(&self, asked: &Asked<'_>) -> Verdict;
}

impl<F> Policy for F
where
    F: Fn(&Asked<'_>) -> Verdict + Send + Sync + 'static,
{
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        self(asked)
    }
}

/// A closure as a policy: what it takes is said here, so that it need not be written out.
pub fn policy<F>(judge: F) -> F
where
    F: Fn(&Asked<'_>) -> Verdict + Send + Sync + 'static,
{
    judge
}

/// What a policy says to a request.
#[non_exhaustive]
pub enum Verdict {
    /// Nothing against it: the next policy is asked.
    Allow,
    /// It is refused.
    Deny(Box<Refusal>),
    /// It is refused for want of credentials: 401 or 407, with the field that says which.
    Challenge(Box<Refusal>),
    /// The client is sent elsewhere.
    Redirect(Box<Redirection>),
    /// It takes a while. The request waits, and the layer clones its inner service.
    Defer(Deferred),
}

impl Verdict {
    /// A verdict that comes later.
    pub fn defer(verdict: impl Future<Output = Self> + Send + 'static) -> Self {
        Self::Defer(Box::pin(async move {
            let verdict = verdict.await;
            Box::new(move |_: &Asked<'_>| verdict) as Conclusion
        }))
    }

    /// Something that is found out later, and concluded from with the request at hand.
    pub fn defer_with<T: Send + 'static>(
        found: impl Future<Output = T> + Send + 'static,
        conclude: impl FnOnce(T, &Asked<'_>) -> Self + Send + 'static,
    ) -> Self {
        Self::Defer(Box::pin(async move {
            let found = found.await;
            Box::new(move |asked: &Asked<'_>| conclude(found, asked)) as Conclusion
        }))
    }

    /// Whether the next policy is asked.
    pub const fn is_allow(&self) -> bool {
        matches!(self, Self::Allow)
    }
}

impl From<Refusal> for Verdict {
    /// A challenge where the status is 401 or 407, else a denial.
    fn from(refusal: Refusal) -> Self {
        match refusal.status {
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Self::Challenge(Box::new(refusal))
            }
            _ => Self::Deny(Box::new(refusal)),
        }
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str("Allow"),
            Self::Deny(refusal) => f.debug_tuple("Deny").field(refusal).finish(),
            Self::Challenge(refusal) => f.debug_tuple("Challenge").field(refusal).finish(),
            Self::Redirect(to) => f.debug_tuple("Redirect").field(to).finish(),
            Self::Defer(_) => f.write_str("Defer(..)"),
        }
    }
}

/// What is on its way.
pub type Deferred = Pin<Box<dyn Future<Output = Conclusion> + Send>>;

/// What is said once it is there, with the request at hand again.
pub type Conclusion = Box<dyn FnOnce(&Asked<'_>) -> Verdict + Send>;

/// Where a client is sent.
#[derive(Clone, Debug)]
pub struct Redirection {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// The target. Made of what the operator wrote, never of the request.
    pub location: HeaderValue,
    /// Why, as a token.
    pub reason: &'static str,
    /// The id of the rule.
    pub rule: Option<Arc<str>>,
}
