//! One stored response.

use std::ops::Range;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::body::StoredBody;
use super::key::KeyText;
use crate::semantics::lifetime::Lifetime;
use crate::semantics::vary::VariantKey;

/// Everything of a stored response but its content.
#[derive(Clone, Debug)]
pub struct StoredHead {
    /// What it is stored under.
    pub key: Arc<KeyText>,
    /// Its status.
    pub status: StatusCode,
    /// The fields that may be stored (RFC 9111 section 3.1).
    pub fields: HeaderMap,
    /// Its trailer section, once complete.
    pub trailers: Option<HeaderMap>,
    /// The request fields it was selected by; none without `Vary`.
    pub variant: Option<VariantKey>,
    /// How long it may be reused, and how.
    pub lifetime: Lifetime,
    /// The part of the representation that it holds; none where it is complete.
    pub part: Option<Part>,
    /// The content coding it was made with from a stored identity representation; none where it is
    /// as it came. Derived ones live and die with what they were made from.
    pub derived: Option<Box<str>>,
    /// Words to purge it by.
    pub tags: Box<[Box<str>]>,
    /// Groups it is invalidated with (RFC 9875).
    pub groups: Box<[Box<str>]>,
}

/// A part of a representation (RFC 9111 section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its bytes within the representation.
    pub range: Range<u64>,
    /// The length of the whole, where it was told.
    pub complete: Option<u64>,
}

impl StoredHead {
    /// Whether a response with this head takes the place of one with that.
    ///
    /// Both must be under the same key. The same selecting request fields and the same coding make
    /// it one. A response without variant replaces all, one with `Vary` those without: the origin
    /// has changed its mind. Whoever replaces an original replaces what was derived from it.
    pub fn replaces(&self, other: &Self) -> bool {
        if self.derived.is_some() {
            return self.variant == other.variant && self.derived == other.derived;
        }
        match (&self.variant, &other.variant) {
            (Some(new), Some(old)) => new == old,
            _ => true,
        }
    }
}

/// A stored response. It never changes: a refreshed one is another, with the same content.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its head.
    pub head: StoredHead,
    /// Its content.
    pub body: StoredBody,
}
