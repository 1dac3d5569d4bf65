//! What fields say of codings that are taken off, and what becomes of them.

use std::borrow::Cow;

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG,
    IF_NONE_MATCH,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use proxy_core::{coding, fields};

use super::DecodeError;
use super::unpacker::{DecodeLimits, Unpacker};
use crate::validators::tags_of;

/// What a client takes, and has. It is looked at where a response has a coding: most have none.
pub(super) enum Takes {
    /// It has not said.
    Unsaid,
    /// One line of `Accept-Encoding`, and nothing that it has.
    Line(HeaderValue),
    /// All lines of `Accept-Encoding` and of `If-None-Match`.
    Fields(Box<HeaderMap>),
}

impl Takes {
    pub(super) fn of(request: &HeaderMap) -> Self {
        let mut lines = request.get_all(ACCEPT_ENCODING).iter();
        let (Some(first), more) = (lines.next(), lines.next().is_some()) else {
            return Self::Unsaid;
        };
        if !more && !request.contains_key(IF_NONE_MATCH) {
            return Self::Line(first.clone());
        }
        let mut fields = HeaderMap::new();
        for name in [ACCEPT_ENCODING, IF_NONE_MATCH] {
            for value in request.get_all(&name) {
                fields.append(name.clone(), value.clone());
            }
        }
        Self::Fields(Box::new(fields))
    }

    /// `None` where it has not said what it takes.
    pub(super) fn fields(&self) -> Option<Cow<'_, HeaderMap>> {
        match self {
            Self::Unsaid => None,
            Self::Line(line) => {
                let fields = HeaderMap::from_iter([(ACCEPT_ENCODING, line.clone())]);
                Some(Cow::Owned(fields))
            }
            Self::Fields(fields) => Some(Cow::Borrowed(&**fields)),
        }
    }
}

/// Whether the codings of a response can be taken off: one that nobody here knows is left to the
/// client. An error where there are too many of them.
pub(super) fn is_decodable<B>(
    response: &Response<B>,
    limits: DecodeLimits,
) -> Result<bool, DecodeError> {
    let have = response.headers();
    if have.contains_key(CONTENT_RANGE)
        || response.status() == StatusCode::PARTIAL_CONTENT
        || crate::eligibility::is_not_to_be_transformed(have)
    {
        return Ok(false);
    }
    match Unpacker::check(have, limits) {
        Err(DecodeError::Unknown) => Ok(false),
        stages => stages.map(|stages| stages > 0),
    }
}

/// Whether the client can read the response as it is.
pub(super) fn is_taken(have: &HeaderMap, takes: &HeaderMap) -> bool {
    coding::takes_all(takes, fields::list(have, &CONTENT_ENCODING))
}

/// Gives a 304 the weak tag of the decoded form, where that is what the client has.
pub(super) fn not_modified(response: &mut HeaderMap, has: &HeaderMap) {
    let Some(tag) = response.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) else {
        return;
    };
    let lines = has.get_all(IF_NONE_MATCH).iter();
    let mut tags = lines.flat_map(|line| tags_of(line.as_bytes()));
    let mut has_weak = false;
    let has_strong = tags.any(|own| {
        has_weak |= own.strip_prefix(b"W/") == Some(tag.as_bytes());
        own == tag.as_bytes()
    });
    if has_weak && !has_strong {
        coding::weaken_tag(response);
    }
}

/// The fields of the uncoded form. Its tag is another one (RFC 9110 section 8.8.3.3), which the
/// origin server has not named: a weak one stands for both.
pub(super) fn uncoded(fields: &mut HeaderMap) {
    fields.remove(CONTENT_ENCODING);
    fields.remove(CONTENT_LENGTH);
    fields.remove(ACCEPT_RANGES);
    coding::remove_digests(fields);
    coding::weaken_tag(fields);
    coding::vary_by_coding(fields);
}
