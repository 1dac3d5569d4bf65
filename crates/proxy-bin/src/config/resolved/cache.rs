//! Where responses are kept, and how.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;

use crate::config::raw;

/// Where responses are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheStores {
    /// Bytes of memory.
    pub memory: u64,
    /// The disk, if there is one.
    pub disk: Option<CacheDisk>,
    /// The largest content.
    pub max_object: u64,
}

/// Where responses are kept on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheDisk {
    /// Its folder.
    pub path: PathBuf,
    /// Bytes that it may hold.
    pub size: u64,
}

/// How the responses of a route, or of the forward role, are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    /// Freshness of responses that say nothing of it; the first that fits.
    pub default_ttl: Vec<CacheTtl>,
    /// Freshness whatever the response says; the first that fits.
    pub ttl: Vec<CacheTtl>,
    /// Whether freshness may be guessed.
    pub heuristic: bool,
    /// The query parameters that count.
    pub query: CacheQuery,
    /// Whether their order does not count.
    pub query_sort: bool,
    /// Request fields that count.
    pub key_fields: Vec<HeaderName>,
    /// Response fields with words for purges.
    pub tag_fields: Vec<HeaderName>,
    /// Fields in the place of `Cache-Control`.
    pub targeted_fields: Vec<HeaderName>,
    /// What becomes of `Cache-Control` in requests.
    pub request_directives: raw::RequestDirectives,
    /// What becomes of a response whose clients have left.
    pub on_disconnect: raw::OnDisconnect,
    /// Whether requests wait for one.
    pub collapse: bool,
    /// Requests before a response is stored.
    pub min_uses: u32,
    /// Requests with one of these fields go past the cache.
    pub bypass_fields: Vec<HeaderName>,
    /// Requests with one of these cookies do.
    pub bypass_cookies: Vec<String>,
    /// Requests with one of these query parameters do.
    pub bypass_query: Vec<String>,
    /// How long a stale response is served while it is validated.
    pub stale_while_revalidate: Option<Duration>,
    /// How long a stale response stands in for an error.
    pub stale_if_error: Option<Duration>,
    /// Whether a media type must be what the path promises.
    pub deception_armour: bool,
    /// Bytes of a slice, where content is stored in slices.
    pub slice: Option<NonZeroU64>,
    /// Whether `Cache-Status` shows the key.
    pub show_key: bool,
}

/// A time for some statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheTtl {
    /// First and last.
    pub statuses: RangeInclusive<u16>,
    /// The time.
    pub ttl: Duration,
}

/// The query parameters that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheQuery {
    /// All.
    All,
    /// These only.
    Allow(Vec<String>),
    /// All but these.
    Deny(Vec<String>),
}
