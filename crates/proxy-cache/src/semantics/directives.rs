//! What `Cache-Control` says (RFC 9111 section 5.2, RFC 5861, RFC 8246).
//!
//! How broken and repeated directives are read, which RFC 9111 section 4.2.1 leaves open within
//! bounds:
//!
//! - a freshness lifetime that is no number of seconds is zero, so the response is stale;
//! - of one directive given several times the most restrictive counts: the smallest number, the
//!   unqualified form of `private` and `no-cache`, all names of the qualified ones;
//! - a number is capped at 2^31 seconds (section 1.2.2);
//! - what restricts counts however it is written (`no-store=1`, `no-store x`); what only permits
//!   (`public`, `stale-while-revalidate`, `max-stale`) counts only where it is well formed;
//! - a quoted number is a number: recipients ought to accept both forms (section 5.2).

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};

use super::lists::{self, Argument, Directive};

pub use super::targeted::Effective;

/// The greatest number of seconds that a directive or `Age` can say (RFC 9111 section 1.2.2).
pub const DELTA_LIMIT: u64 = 1 << 31;

/// A directive that can be limited to some fields (RFC 9111 sections 5.2.2.4 and 5.2.2.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Qualified {
    /// It was not there.
    #[default]
    Absent,
    /// It is about the whole response.
    All,
    /// It is about these fields; at least one.
    Fields(Vec<HeaderName>),
}

impl Qualified {
    /// Whether it is about the whole response.
    pub const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    /// The fields it is limited to; none where it is absent or unlimited.
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Fields(names) => names,
            Self::Absent | Self::All => &[],
        }
    }

    pub(super) fn add(&mut self, names: Option<Vec<HeaderName>>) {
        match (&mut *self, names) {
            (Self::All, _) => {}
            (_, None) => *self = Self::All,
            (Self::Absent, Some(names)) => *self = Self::Fields(names),
            (Self::Fields(known), Some(names)) => known.extend(names),
        }
    }
}

/// The directives of a response that a shared cache understands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `max-age` (5.2.2.1).
    pub max_age: Option<Duration>,
    /// `s-maxage` (5.2.2.10): `max-age` for shared caches, and `proxy-revalidate`.
    pub s_maxage: Option<Duration>,
    /// `no-store` (5.2.2.5).
    pub no_store: bool,
    /// `no-cache` (5.2.2.4).
    pub no_cache: Qualified,
    /// `private` (5.2.2.7).
    pub private: Qualified,
    /// `public` (5.2.2.9).
    pub public: bool,
    /// `must-revalidate` (5.2.2.2).
    pub must_revalidate: bool,
    /// `proxy-revalidate` (5.2.2.8).
    pub proxy_revalidate: bool,
    /// `must-understand` (5.2.2.3).
    pub must_understand: bool,
    /// `no-transform` (5.2.2.6).
    pub no_transform: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
    /// `stale-while-revalidate` (RFC 5861 section 3).
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861 section 4).
    pub stale_if_error: Option<Duration>,
}

impl ResponseDirectives {
    /// Reads every line of `Cache-Control`.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for directive in directives(headers) {
            found.add(directive);
        }
        found
    }

    fn add(&mut self, directive: Directive<'_>) {
        let argument = directive.argument;
        let name = directive.name;
        if directive.is("max-age") {
            shorten(&mut self.max_age, seconds(argument).or(Some(Duration::ZERO)));
        } else if directive.is("s-maxage") {
            shorten(&mut self.s_maxage, seconds(argument).or(Some(Duration::ZERO)));
        } else if directive.is("no-store") {
            self.no_store = true;
        } else if directive.is("no-cache") {
            self.no_cache.add(field_names(argument));
        } else if directive.is("private") {
            self.private.add(field_names(argument));
        } else if directive.is("public") {
            self.public |= argument == Argument::None;
        } else if directive.is("must-revalidate") {
            self.must_revalidate = true;
        } else if directive.is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if directive.is("must-understand") {
            self.must_understand |= argument == Argument::None;
        } else if name.eq_ignore_ascii_case(b"no-transform") {
            self.no_transform = true;
        } else if directive.is("immutable") {
            // RFC 8246 section 2: an argument has no meaning.
            self.immutable = true;
        } else if directive.is("stale-while-revalidate") {
            shorten(&mut self.stale_while_revalidate, seconds(argument));
        } else if directive.is("stale-if-error") {
            shorten(&mut self.stale_if_error, seconds(argument));
        }
    }

    /// Whether a stale response must not be used without successful validation (4.2.4).
    pub const fn forbids_stale(&self) -> bool {
        self.must_revalidate
            || self.proxy_revalidate
            || self.s_maxage.is_some()
            || self.no_cache.is_all()
    }
}

/// How stale a response the client takes (RFC 9111 section 5.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxStale {
    /// However stale.
    Any,
    /// No longer past its freshness lifetime than this.
    Within(Duration),
}

impl MaxStale {
    /// Whether a response that has been stale for this long is taken.
    pub fn allows(self, staleness: Duration) -> bool {
        match self {
            Self::Any => true,
            Self::Within(limit) => staleness <= limit,
        }
    }
}

/// The directives of a request (RFC 9111 section 5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// `max-age` (5.2.1.1). Zero where it is no number.
    pub max_age: Option<Duration>,
    /// `min-fresh` (5.2.1.3). The greatest of several.
    pub min_fresh: Option<Duration>,
    /// `max-stale` (5.2.1.2).
    pub max_stale: Option<MaxStale>,
    /// `no-cache` (5.2.1.4), or `Pragma: no-cache` where there is no `Cache-Control` (5.4).
    pub no_cache: bool,
    /// `no-store` (5.2.1.5).
    pub no_store: bool,
    /// `only-if-cached` (5.2.1.7).
    pub only_if_cached: bool,
    /// `no-transform` (5.2.1.6).
    pub no_transform: bool,
    /// `stale-if-error` (RFC 5861 section 4).
    pub stale_if_error: Option<Duration>,
}

impl RequestDirectives {
    /// A request that says nothing. Also what to use where request directives are ignored.
    pub const NONE: Self = Self {
        max_age: None,
        min_fresh: None,
        max_stale: None,
        no_cache: false,
        no_store: false,
        only_if_cached: false,
        no_transform: false,
        stale_if_error: None,
    };

    /// Reads every line of `Cache-Control`, and `Pragma` where there is none.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut found = Self::NONE;
        if headers.contains_key(header::CACHE_CONTROL) {
            for directive in directives(headers) {
                found.add(directive);
            }
        } else {
            found.no_cache = headers
                .get_all(header::PRAGMA)
                .iter()
                .flat_map(|line| lists::members(line.as_bytes()))
                .filter_map(Directive::parse)
                .any(|directive| directive.is("no-cache"));
        }
        found
    }

    fn add(&mut self, directive: Directive<'_>) {
        let argument = directive.argument;
        if directive.is("max-age") {
            shorten(&mut self.max_age, seconds(argument).or(Some(Duration::ZERO)));
        } else if directive.is("min-fresh") {
            self.min_fresh = self.min_fresh.max(seconds(argument));
        } else if directive.is("max-stale") {
            let limit = match argument {
                Argument::None => Some(MaxStale::Any),
                _ => seconds(argument).map(MaxStale::Within),
            };
            self.max_stale = match (self.max_stale, limit) {
                (Some(MaxStale::Within(a)), Some(MaxStale::Within(b))) => {
                    Some(MaxStale::Within(a.min(b)))
                }
                (Some(MaxStale::Any) | None, limit @ Some(_)) => limit,
                (known, _) => known,
            };
        } else if directive.is("no-cache") {
            self.no_cache = true;
        } else if directive.is("no-store") {
            self.no_store = true;
        } else if directive.is("only-if-cached") {
            self.only_if_cached = true;
        } else if directive.is("no-transform") {
            self.no_transform = true;
        } else if directive.is("stale-if-error") {
            shorten(&mut self.stale_if_error, seconds(argument));
        }
    }
}

fn directives(headers: &HeaderMap) -> impl Iterator<Item = Directive<'_>> {
    headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .flat_map(|line| lists::members(line.as_bytes()))
        .filter_map(Directive::parse)
}

/// The shorter of the two counts.
fn shorten(known: &mut Option<Duration>, found: Option<Duration>) {
    *known = match (*known, found) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}

fn seconds(argument: Argument<'_>) -> Option<Duration> {
    match argument {
        Argument::Value(digits) => delta_seconds(digits),
        Argument::None | Argument::Malformed => None,
    }
}

/// A non-negative integer of seconds, at most [`DELTA_LIMIT`] (RFC 9111 section 1.2.2).
pub(super) fn delta_seconds(digits: &[u8]) -> Option<Duration> {
    Some(Duration::from_secs(parse_number(digits)?.min(DELTA_LIMIT)))
}

/// A non-negative integer, at most the greatest `u64`.
pub(super) fn parse_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |n, b| {
        b.is_ascii_digit().then(|| n.saturating_mul(10).saturating_add(u64::from(b - b'0')))
    })
}

/// The names in the argument of a qualified directive; none where it is about everything, which is
/// also how an argument is read that holds anything but names.
fn field_names(argument: Argument<'_>) -> Option<Vec<HeaderName>> {
    match argument {
        Argument::Value(names) => parse_names(names),
        Argument::None | Argument::Malformed => None,
    }
}

pub(super) fn parse_names(names: &[u8]) -> Option<Vec<HeaderName>> {
    let names = lists::members(names)
        .map(|name| HeaderName::from_bytes(name).ok())
        .collect::<Option<Vec<_>>>()?;
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests;
