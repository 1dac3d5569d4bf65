//! Whether a shared cache may store a response, and for how long (RFC 9111 sections 3 and 4.2).

use std::fmt;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};

use super::directives::{Effective, RequestDirectives, ResponseDirectives};
use super::entity_tag::EntityTag;
use super::lifetime::{FreshnessSource, Lifetime};
use super::statuses::{is_final, is_heuristic, is_understood};
use super::{dates, freshness, range, references, targeted, vary};

/// What the operator decides, where the RFCs leave it open.
#[derive(Clone, Copy)]
pub struct StorageRules<'a> {
    /// The targeted fields, the strongest first (RFC 9213 section 2.2). Default:
    /// `CDN-Cache-Control`.
    pub targeted: &'a [HeaderName],
    /// The lifetime of a response with this status that says nothing about its own, in place of
    /// the heuristic. It makes any final status storable; zero means stale from the start. It never
    /// applies to what is personal, has `Set-Cookie`, `private`, `no-cache` or `no-store`, or
    /// answers a request with `Authorization`. Default: none.
    pub default_ttl: &'a dyn Fn(StatusCode) -> Option<Duration>,
    /// Whether a response that says nothing is fresh for a share of the time since its
    /// `Last-Modified` (RFC 9111 section 4.2.2). Default: yes.
    pub heuristic: bool,
    /// That share, in percent. Default: 10.
    pub heuristic_percent: u32,
    /// The longest such lifetime. Default: one day.
    pub heuristic_ceiling: Duration,
    /// Whether `no-store` of a request keeps its answer out (section 5.2.1.5). Default: yes.
    pub honour_request: bool,
}

impl<'a> StorageRules<'a> {
    /// The defaults, with these targeted fields and lifetimes.
    pub const fn new(
        targeted: &'a [HeaderName],
        default_ttl: &'a dyn Fn(StatusCode) -> Option<Duration>,
    ) -> Self {
        Self {
            targeted,
            default_ttl,
            heuristic: true,
            heuristic_percent: 10,
            heuristic_ceiling: Duration::from_secs(24 * 60 * 60),
            honour_request: true,
        }
    }
}

impl Default for StorageRules<'static> {
    fn default() -> Self {
        static TARGETED: [HeaderName; 1] = [targeted::CDN_CACHE_CONTROL];
        Self::new(&TARGETED, &|_| None)
    }
}

impl fmt::Debug for StorageRules<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageRules")
            .field("targeted", &self.targeted)
            .field("heuristic", &self.heuristic)
            .field("heuristic_percent", &self.heuristic_percent)
            .field("heuristic_ceiling", &self.heuristic_ceiling)
            .field("honour_request", &self.honour_request)
            .finish_non_exhaustive()
    }
}

/// A request, as far as it decides.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its fields, before the cache changed any.
    pub headers: &'a HeaderMap,
    /// It depends on who asks, by cookies, proxy credentials or an access rule: the answer is stored
    /// only with explicit `public` or `s-maxage`.
    pub personal: bool,
}

/// A response, as far as it decides.
#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its fields as they were received, hop-by-hop ones and all.
    pub headers: &'a HeaderMap,
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotStored {
    /// Its method is not one whose answers are stored. Answers to HEAD update what is stored
    /// ([`validation::head_update`](super::validation::head_update)).
    Method,
    /// It is not final, must not be stored (304, 407, 412 to a precondition, 416 to a range, 417,
    /// 425, 428, 429, 431, 511), or is of a status that needs explicit freshness, which is missing.
    Status,
    /// `must-understand`, with a status we know nothing about (RFC 9111 section 5.2.2.3).
    NotUnderstood,
    /// `no-store` (5.2.2.5).
    NoStore,
    /// `private` (5.2.2.7).
    Private,
    /// The request has `Authorization`, and nothing allows it (3.5).
    Authorization,
    /// The exchange is personal, and neither `public` nor `s-maxage` says it may be shared.
    Personal,
    /// `Set-Cookie`, without a freshness lifetime or `public` that says it is for all.
    SetCookie,
    /// `Vary: *`: it would never be selected (4.1).
    VaryStar,
    /// A 206 without a `Content-Range` that says which part it is (3.3).
    Partial,
    /// It could never be used: neither freshness nor a validator.
    NoFreshness,
    /// The request has `no-store` (5.2.1.5).
    RequestNoStore,
    /// A POST without explicit freshness and `Content-Location` (RFC 9110 section 9.3.3).
    Post,
}

impl NotStored {
    /// One word, for the detail of `Cache-Status` and for logs.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::NotUnderstood => "must-understand",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::Personal => "personal",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary-star",
            Self::Partial => "partial",
            Self::NoFreshness => "no-freshness",
            Self::RequestNoStore => "request-no-store",
            Self::Post => "post",
        }
    }
}

/// Whether a shared cache may store the response, and for how long.
///
/// For POST the caller also asks [`content_location_is`]. After a validation it is asked again,
/// with the updated fields and the stored status.
///
/// # Errors
/// Why it is not stored.
pub fn judge(
    request: &RequestView<'_>,
    response: &ResponseView<'_>,
    requested_at: SystemTime,
    received_at: SystemTime,
    rules: &StorageRules<'_>,
) -> Result<Lifetime, NotStored> {
    let ResponseView { status, headers } = *response;
    let effective = ResponseDirectives::effective(headers, rules.targeted);
    let directives = &effective.directives;
    let post = *request.method == Method::POST;

    if !(*request.method == Method::GET || post || request.method.as_str() == "QUERY") {
        return Err(NotStored::Method);
    }
    if !is_final(request.headers, status) {
        return Err(NotStored::Status);
    }
    if rules.honour_request && RequestDirectives::parse(request.headers).no_store {
        return Err(NotStored::RequestNoStore);
    }
    if directives.must_understand && !is_understood(status) {
        return Err(NotStored::NotUnderstood);
    }
    if directives.no_store && !directives.must_understand {
        return Err(NotStored::NoStore);
    }
    if directives.private.is_all() {
        return Err(NotStored::Private);
    }
    let shared = directives.public || directives.s_maxage.is_some();
    let authorized = request.headers.contains_key(header::AUTHORIZATION);
    // RFC 9111 section 3.5 takes `must-revalidate` for leave as well; we ask for a word that is about
    // sharing, as for everything else that is personal.
    if authorized && !shared {
        return Err(NotStored::Authorization);
    }
    if request.personal && !shared {
        return Err(NotStored::Personal);
    }
    if vary::parse(headers) == vary::Vary::Star {
        return Err(NotStored::VaryStar);
    }
    if status == StatusCode::PARTIAL_CONTENT && range::parse_content_range(headers).is_none() {
        return Err(NotStored::Partial);
    }

    let explicit = freshness::explicit(&effective, headers, received_at);
    let positive = explicit.is_some_and(|(lifetime, _)| !lifetime.is_zero());
    let has_content_location = headers.contains_key(header::CONTENT_LOCATION);
    if post && !(positive && has_content_location && status.is_success()) {
        return Err(NotStored::Post);
    }
    let cookies = headers.contains_key(header::SET_COOKIE);
    if cookies && sends_cookies(directives) && !shared {
        let offered = positive && !directives.no_cache.is_all();
        if !offered {
            return Err(NotStored::SetCookie);
        }
    }
    let silent = explicit.is_none() && !request.personal && !authorized && !cookies;
    let (freshness, source) = match explicit {
        Some(found) => found,
        None if silent => unsaid(&effective, status, headers, received_at, rules)?,
        None if directives.public || is_heuristic(status) => {
            (Duration::ZERO, FreshnessSource::None)
        }
        None => return Err(NotStored::Status),
    };

    let lifetime = Lifetime {
        response_time: received_at,
        initial_age: freshness::initial_age(headers, requested_at, received_at),
        freshness,
        source,
        stale_while_revalidate: directives.stale_while_revalidate,
        stale_if_error: directives.stale_if_error,
        no_stale: directives.forbids_stale(),
        always_validate: directives.no_cache.is_all(),
        immutable: directives.immutable,
        expired: false,
    };
    if is_usable(&lifetime, headers, received_at) {
        Ok(lifetime)
    } else {
        Err(NotStored::NoFreshness)
    }
}

/// The lifetime of a response that gives itself none: the operator's, or the heuristic's.
fn unsaid(
    effective: &Effective,
    status: StatusCode,
    headers: &HeaderMap,
    received_at: SystemTime,
    rules: &StorageRules<'_>,
) -> Result<(Duration, FreshnessSource), NotStored> {
    let directives = &effective.directives;
    let qualified = directives.private.fields().len() + directives.no_cache.fields().len();
    let says_nothing = qualified == 0 && !directives.no_cache.is_all() && !directives.no_store;
    if says_nothing && let Some(lifetime) = (rules.default_ttl)(status) {
        return Ok((lifetime, FreshnessSource::Default));
    }
    // Section 4.2.2: a status defined as heuristically cacheable, or `public`.
    if !(directives.public || is_heuristic(status)) {
        return Err(NotStored::Status);
    }
    let found = if rules.heuristic && !directives.no_cache.is_all() && !directives.no_store {
        freshness::heuristic(headers, received_at, rules.heuristic_percent, rules.heuristic_ceiling)
    } else {
        None
    };
    Ok(found.map_or((Duration::ZERO, FreshnessSource::None), |lifetime| {
        (lifetime, FreshnessSource::Heuristic)
    }))
}

/// Whether the stored response would still send cookies: not where `private` or `no-cache` names
/// them, since what they name is not stored.
fn sends_cookies(directives: &ResponseDirectives) -> bool {
    ![&directives.private, &directives.no_cache]
        .iter()
        .any(|named| named.fields().contains(&header::SET_COOKIE))
}

/// Whether there is any way to use it later: fresh, after validation, or stale.
fn is_usable(lifetime: &Lifetime, headers: &HeaderMap, received_at: SystemTime) -> bool {
    let has_validator = EntityTag::of(headers).is_some()
        || dates::stamp(headers, &header::LAST_MODIFIED, received_at).time().is_some();
    let is_fresh = !lifetime.always_validate && lifetime.is_fresh(received_at);
    let may_be_stale = !lifetime.no_stale
        && (!lifetime.freshness.is_zero()
            || [lifetime.stale_while_revalidate, lifetime.stale_if_error]
                .iter()
                .flatten()
                .any(|window| !window.is_zero()));
    has_validator || is_fresh || may_be_stale
}

/// Whether `Content-Location` names the target, which is what makes the answer to a POST reusable
/// for a GET (RFC 9110 section 9.3.3).
pub fn content_location_is(target: &Uri, response: &HeaderMap) -> bool {
    let mut lines = response.get_all(header::CONTENT_LOCATION).iter();
    match (lines.next(), lines.next()) {
        (Some(value), None) => references::resolve(target, value.as_bytes())
            .is_some_and(|named| references::is_same(&named, target)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
