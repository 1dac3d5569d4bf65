//! What a cache does where the standards leave a choice.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode, Uri};

/// Settings of one [`CacheLayer`](crate::CacheLayer): a route's, in the proxy.
#[derive(Clone, Debug)]
pub struct CacheRules {
    /// The name in `Cache-Status` (RFC 9211). Default: `proxy-cache`.
    pub name: Arc<str>,
    /// Targeted cache-control fields, the first present one counts (RFC 9213). Default:
    /// `CDN-Cache-Control`.
    pub targeted: Vec<HeaderName>,
    /// Fields of the origin whose words name a response for purges. Default: `Cache-Tag`,
    /// `Surrogate-Key`.
    pub tag_fields: Vec<HeaderName>,
    /// Freshness of responses that say nothing of it themselves. Default: none.
    pub default_ttl: Vec<StatusTtl>,
    /// Freshness in the place of what the response says of it (`max-age`, `s-maxage`, `Expires`);
    /// who may store it, and whether it is validated, stays the response's word. Default: none.
    pub ttl: Vec<StatusTtl>,
    /// Whether freshness may be guessed from `Last-Modified` (RFC 9111 section 4.2.2). Default:
    /// true.
    pub heuristic: bool,
    /// Whether the exchanges depend on who asks, as behind an access rule: stored only with
    /// explicit `public` or `s-maxage`. Default: false.
    pub personal: bool,
    /// Whether request directives (`no-cache` and others) are honoured. Default: true.
    pub honour_request: bool,
    /// What becomes of a fill whose last reader has left. Default: `FinishIfShared`.
    pub on_disconnect: OnDisconnect,
    /// Requests for a key before its response is stored. Default: 1.
    pub min_uses: u32,
    /// Requests that go past the cache. Default: none.
    pub bypass: Vec<Bypass>,
    /// Whether requests for the same missing response wait for one. Default: true.
    pub collapse: bool,
    /// How long requests for a response that could not be shared are not collapsed again.
    /// Default: 10 s.
    pub unshareable_for: Duration,
    /// Where the response does not say: how long beyond its freshness it may be served while it is
    /// validated in the background (RFC 5861). Default: none.
    pub stale_while_revalidate: Option<Duration>,
    /// Where the response does not say: how long beyond its freshness it may be served in the place
    /// of an error (RFC 5861). Default: none.
    pub stale_if_error: Option<Duration>,
    /// Whether a response is kept out whose media type is not what the path's extension promises:
    /// `/account/x.css` that is a page (web cache deception). Default: true.
    pub deception_armour: bool,
    /// Fetch and store content in slices of so many bytes: for large content that is asked for in
    /// parts, from origins that serve ranges and give strong validators. Default: none.
    pub slice: Option<NonZeroU64>,
    /// Bytes that the content of all fills under way may take while it waits for readers. Beyond
    /// it nobody new may join a fill, and its readers wait for the slowest. Default: 64 MiB.
    pub fill_memory: usize,
    /// Whether `Cache-Status` shows the key. Default: false.
    pub show_key: bool,
}

/// A freshness lifetime for responses with some statuses.
#[derive(Clone, Debug)]
pub struct StatusTtl {
    /// First and last status.
    pub statuses: std::ops::RangeInclusive<u16>,
    /// The lifetime.
    pub ttl: Duration,
}

/// What becomes of a fill whose last reader has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDisconnect {
    /// It ends, and the upstream exchange with it.
    Cancel,
    /// It goes on if more than one client wanted it.
    #[default]
    FinishIfShared,
    /// It goes on.
    Finish,
}

/// Marks requests that go past the cache.
#[derive(Clone, Debug)]
pub enum Bypass {
    /// With this field.
    Field(HeaderName),
    /// With a cookie of this name.
    Cookie(Box<str>),
    /// With a query parameter of this name.
    Query(Box<str>),
}

impl Default for CacheRules {
    fn default() -> Self {
        Self {
            name: "proxy-cache".into(),
            targeted: vec![HeaderName::from_static("cdn-cache-control")],
            tag_fields: vec![
                HeaderName::from_static("cache-tag"),
                HeaderName::from_static("surrogate-key"),
            ],
            default_ttl: Vec::new(),
            ttl: Vec::new(),
            heuristic: true,
            personal: false,
            honour_request: true,
            on_disconnect: OnDisconnect::default(),
            min_uses: 1,
            bypass: Vec::new(),
            collapse: true,
            unshareable_for: Duration::from_secs(10),
            stale_while_revalidate: None,
            stale_if_error: None,
            deception_armour: true,
            slice: None,
            fill_memory: 64 << 20,
            show_key: false,
        }
    }
}

impl CacheRules {
    pub(crate) fn bypasses(&self, target: &Uri, fields: &HeaderMap) -> bool {
        self.bypass.iter().any(|rule| match rule {
            Bypass::Field(name) => fields.contains_key(name),
            Bypass::Cookie(name) => cookies(fields).any(|cookie| cookie == &**name),
            Bypass::Query(name) => target
                .query()
                .is_some_and(|query| query.split('&').any(|p| p.split('=').next() == Some(name))),
        })
    }
}

pub(crate) fn ttl_of(rules: &[StatusTtl], status: StatusCode) -> Option<Duration> {
    rules.iter().find(|rule| rule.statuses.contains(&status.as_u16())).map(|rule| rule.ttl)
}

fn cookies(fields: &HeaderMap) -> impl Iterator<Item = &str> {
    fields
        .get_all(http::header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.split('=').next())
        .map(str::trim)
}
