//! Whether a stored response answers a request as it is, stale, or only after validation
//! (RFC 9111 sections 4, 4.2.4 and 5.2.1, RFC 5861, RFC 8246).

use std::time::{Duration, SystemTime};

use http::StatusCode;

use super::directives::RequestDirectives;
use super::lifetime::Lifetime;

/// How a stored response may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// As it is: it is fresh.
    Fresh,
    /// As it is, although stale: the client takes it with `max-stale`.
    StaleAllowed,
    /// As it is, although stale, while it is validated in the background (RFC 5861 section 3).
    StaleWhileRevalidate,
    /// Only after successful validation.
    Validate(WhyValidate),
}

/// Why a stored response must be validated before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyValidate {
    /// The request has `no-cache` (5.2.1.4).
    RequestNoCache,
    /// It is older than the request's `max-age` (5.2.1.1).
    RequestMaxAge,
    /// It is not fresh for the request's `min-fresh` any more (5.2.1.3).
    RequestMinFresh,
    /// The response has `no-cache` (5.2.2.4).
    NoCache,
    /// It is stale, and must not be used so (4.2.4).
    MustRevalidate,
    /// It is stale (4.2).
    Stale,
    /// It was invalidated or purged (4.4).
    Expired,
}

impl WhyValidate {
    /// One word, for the detail of `Cache-Status` and for logs.
    pub const fn token(self) -> &'static str {
        match self {
            Self::RequestNoCache => "request-no-cache",
            Self::RequestMaxAge => "request-max-age",
            Self::RequestMinFresh => "request-min-fresh",
            Self::NoCache => "no-cache",
            Self::MustRevalidate => "must-revalidate",
            Self::Stale => "stale",
            Self::Expired => "expired",
        }
    }

    /// Whether the request is the reason, not the stored response: `fwd=request` in place of
    /// `fwd=stale` (RFC 9211 section 2.2).
    pub const fn is_request(self) -> bool {
        matches!(self, Self::RequestNoCache | Self::RequestMaxAge | Self::RequestMinFresh)
    }
}

/// Decides on the use of a stored response that matches the request in key and `Vary`.
///
/// `no-store` of the request does not keep it from being used (5.2.1.5). A fresh `immutable`
/// response is not validated for the sake of a request's `max-age`, which is what browsers send on
/// reload; `no-cache` does have it validated (RFC 8246 section 2).
pub fn reuse(lifetime: &Lifetime, request: &RequestDirectives, now: SystemTime) -> Reuse {
    if request.no_cache {
        return Reuse::Validate(WhyValidate::RequestNoCache);
    }
    if lifetime.expired {
        return Reuse::Validate(WhyValidate::Expired);
    }
    if lifetime.always_validate {
        return Reuse::Validate(WhyValidate::NoCache);
    }
    let age = lifetime.age(now);
    let fresh = age < lifetime.freshness;
    if let Some(limit) = request.max_age {
        // Zero asks for validation even within the second, or by a clock that stands still.
        if (age > limit || limit.is_zero()) && !(fresh && lifetime.immutable) {
            return Reuse::Validate(WhyValidate::RequestMaxAge);
        }
    }
    if fresh {
        return match request.min_fresh {
            Some(wanted) if lifetime.freshness - age < wanted => {
                Reuse::Validate(WhyValidate::RequestMinFresh)
            }
            _ => Reuse::Fresh,
        };
    }
    if lifetime.no_stale {
        return Reuse::Validate(WhyValidate::MustRevalidate);
    }
    let staleness = age.saturating_sub(lifetime.freshness);
    if request.max_stale.is_some_and(|limit| limit.allows(staleness)) {
        return Reuse::StaleAllowed;
    }
    if wants_fresh(request) {
        return Reuse::Validate(WhyValidate::Stale);
    }
    match lifetime.stale_while_revalidate {
        Some(window) if within(staleness, window) => Reuse::StaleWhileRevalidate,
        _ => Reuse::Validate(WhyValidate::Stale),
    }
}

/// What came in place of the answer that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// None: the origin cannot be reached, or broke off before its answer.
    Disconnected,
    /// An answer with this status.
    Status(StatusCode),
}

/// Whether a stored response may be served, stale as it is, because the attempt to validate it
/// failed.
///
/// A cache that is disconnected may do so unless a directive forbids it (RFC 9111 section 4.2.4);
/// where the response has `stale-if-error`, that is also the limit. In place of an answer with
/// status 500, 502, 503 or 504 only `stale-if-error` of the response or of the request allows it
/// (RFC 5861 section 4). A client that asks for validation or freshness gets the error, unless it
/// says `stale-if-error` or `max-stale` itself.
pub fn stale_on_error(
    lifetime: &Lifetime,
    request: &RequestDirectives,
    why: Failure,
    now: SystemTime,
) -> bool {
    if lifetime.no_stale || lifetime.always_validate || request.no_cache {
        return false;
    }
    let staleness = lifetime.staleness(now);
    if request.stale_if_error.is_some_and(|window| within(staleness, window)) {
        return !matches!(why, Failure::Status(status) if !is_error(status));
    }
    match request.max_stale {
        Some(limit) if !limit.allows(staleness) => return false,
        None if wants_fresh(request) => return false,
        _ => {}
    }
    match (why, lifetime.stale_if_error) {
        (Failure::Disconnected, None) => true,
        (Failure::Status(status), _) if !is_error(status) => false,
        (_, window) => window.is_some_and(|window| within(staleness, window)),
    }
}

/// The request says how fresh it wants its answer, and not that it may be stale (5.2.1.1, 5.2.1.3).
const fn wants_fresh(request: &RequestDirectives) -> bool {
    request.max_stale.is_none() && (request.max_age.is_some() || request.min_fresh.is_some())
}

fn within(staleness: Duration, window: Duration) -> bool {
    !window.is_zero() && staleness <= window
}

/// The errors of RFC 5861 section 4.
const fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests;
