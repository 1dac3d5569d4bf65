//! Validation of stored responses with the origin, and what comes of it (RFC 9111 sections 3.1,
//! 3.2 and 4.3).

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::directives::{ResponseDirectives, parse_number};
use super::entity_tag::EntityTag;
use super::{dates, stored_fields};

/// Makes the request conditional on what is stored (RFC 9111 section 4.3.1), and tells whether it
/// could: `If-None-Match` with the entity tags of all, and for a single one `If-Modified-Since`
/// with its `Last-Modified`. They replace those of the client, which are evaluated
/// ([`conditional::evaluate`](super::conditional::evaluate)) against what comes of it.
///
/// Where nothing stored has a validator the request stays as it is, the client's own conditions
/// included. `If-Match` and `If-Unmodified-Since` stay in any case, being the origin's to evaluate;
/// so do `Range` and `If-Range`, which the caller takes out where it wants the whole.
pub fn add_validators(request: &mut HeaderMap, stored: &[&HeaderMap]) -> bool {
    let mut tags: Vec<&[u8]> = Vec::new();
    for headers in stored {
        let valid = EntityTag::of(headers).is_some_and(|tag| tag.is_valid() || stored.len() == 1);
        if let (true, Some(tag)) = (valid, headers.get(header::ETAG))
            && !tags.contains(&tag.as_bytes())
        {
            tags.push(tag.as_bytes());
        }
    }
    let if_none_match = match tags[..] {
        [] => None,
        _ => HeaderValue::from_bytes(&tags.join(&b", "[..])).ok(),
    };
    let if_modified_since = match stored {
        [single] => single.get(header::LAST_MODIFIED).filter(|value| is_date(value)).cloned(),
        _ => None,
    };
    if if_none_match.is_none() && if_modified_since.is_none() {
        return false;
    }
    replace(request, header::IF_NONE_MATCH, if_none_match);
    replace(request, header::IF_MODIFIED_SINCE, if_modified_since);
    true
}

fn replace(request: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => drop(request.insert(name, value)),
        None => drop(request.remove(name)),
    }
}

fn is_date(value: &HeaderValue) -> bool {
    dates::parse(value.as_bytes(), SystemTime::UNIX_EPOCH).is_some()
}

/// Whether a response has something that says which representation it is about.
pub fn has_validator(headers: &HeaderMap) -> bool {
    EntityTag::of(headers).is_some() || headers.get(header::LAST_MODIFIED).is_some_and(is_date)
}

/// Whether a 304 is about this stored response (RFC 9111 sections 4.3.3 and 4.3.4): where both have
/// an entity tag, by that, strong if the new one is strong; otherwise by `Last-Modified`.
///
/// A 304 without any validator is taken to be about the stored response it was asked about, as
/// section 4.3.3 says ("can be updated and reused"), although section 4.3.4 would not update one
/// that has a validator: common origins answer so. Where several were asked about, [`selected`]
/// knows that none is meant.
pub fn selects(not_modified: &HeaderMap, stored: &HeaderMap) -> bool {
    match (EntityTag::of(not_modified), EntityTag::of(stored)) {
        (Some(new), Some(old)) if new.is_strong() => new.matches_strongly(&old),
        (Some(new), Some(old)) => new.matches_weakly(&old),
        _ => match modified(not_modified) {
            Some(new) => modified(stored) == Some(new),
            None => !has_validator(not_modified),
        },
    }
}

/// Which of the stored responses that the request asked about a 304 is about, the most recent
/// first: the first that it [`selects`]; without a validator the only one.
pub fn selected(not_modified: &HeaderMap, stored: &[&HeaderMap]) -> Option<usize> {
    if stored.len() > 1 && !has_validator(not_modified) {
        return None;
    }
    stored.iter().position(|stored| selects(not_modified, stored))
}

fn modified(headers: &HeaderMap) -> Option<SystemTime> {
    // Two dates of one form are compared, so that the century of neither matters.
    dates::stamp(headers, &header::LAST_MODIFIED, SystemTime::UNIX_EPOCH).time()
}

/// Updates stored fields with those of a 304, a HEAD or a part (RFC 9111 section 3.2): every field
/// of the fresh response is added or takes the place of the stored one, apart from
///
/// - those that are not stored at all (section 3.1);
/// - `Content-Length`, and `Content-Encoding` and `Content-Range`, which say how the stored content
///   is kept.
///
/// `Age` and `Date` are those of the fresh response, or are gone: see [`add_date`].
pub fn update_fields(stored: &mut HeaderMap, fresh: &HeaderMap) {
    stored_fields::update(stored, fresh, &ResponseDirectives::parse(fresh));
}

/// Adds `Date` where it is missing: a recipient that caches or forwards a response without one
/// must (RFC 9110 section 6.6.1). Before [`update_fields`] and [`storable_fields`].
pub fn add_date(response: &mut HeaderMap, received_at: SystemTime) {
    if !response.contains_key(header::DATE)
        && let Ok(value) = HeaderValue::try_from(httpdate::fmt_http_date(received_at))
    {
        response.insert(header::DATE, value);
    }
}

/// The fields of a 304 that is made from a stored response (RFC 9110 section 15.4.5): those a 200
/// would have had and that guide caches. `Last-Modified` only where there is no `ETag`.
pub fn not_modified_fields(stored: &HeaderMap) -> HeaderMap {
    let tagged = stored.contains_key(header::ETAG);
    let mut fields = HeaderMap::with_capacity(8);
    for (name, value) in stored {
        let guides = match name.as_str() {
            "cache-control" | "content-location" | "date" | "etag" | "expires" | "vary" => true,
            "last-modified" => !tagged,
            // RFC 9213: targeted fields.
            other => other.ends_with("-cache-control"),
        };
        if guides {
            fields.append(name, value.clone());
        }
    }
    fields
}

/// The fields of a response that a shared cache stores (RFC 9111 section 3.1): all, known or not,
/// but hop-by-hop ones, those that `Connection` lists, those for a proxy, and those that `private`
/// or `no-cache` in `Cache-Control` names.
pub fn storable_fields(response: &HeaderMap) -> HeaderMap {
    storable_fields_by(response, &ResponseDirectives::parse(response))
}

/// The same, where other directives count than those of `Cache-Control`
/// ([`ResponseDirectives::effective`]).
pub fn storable_fields_by(response: &HeaderMap, directives: &ResponseDirectives) -> HeaderMap {
    stored_fields::storable(response, directives)
}

/// What a 200 to HEAD says about a stored answer to GET (RFC 9111 section 4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadUpdate {
    /// It is still the same: [`update_fields`].
    Fresh,
    /// It is another: [`Lifetime::invalidate`](super::lifetime::Lifetime::invalidate).
    Changed,
}

/// Compares a 200 to HEAD with a stored response that a GET would have selected: the validators it
/// has, and its `Content-Length`.
pub fn head_update(stored: &HeaderMap, head: &HeaderMap) -> HeadUpdate {
    let length = stored.get(header::CONTENT_LENGTH);
    head_update_of(stored, length.and_then(|value| parse_number(value.as_bytes())), head)
}

/// The same, where the length of the stored content is known otherwise, in bytes; none where it is
/// not.
pub fn head_update_of(stored: &HeaderMap, len: Option<u64>, head: &HeaderMap) -> HeadUpdate {
    let same_tag = EntityTag::of(head).is_none_or(|new| {
        EntityTag::of(stored)
            .is_some_and(|old| new.matches_weakly(&old) && new.is_strong() == old.is_strong())
    });
    let same_date = modified(head).is_none_or(|new| modified(stored) == Some(new));
    let same_length = head
        .get(header::CONTENT_LENGTH)
        .is_none_or(|value| len.is_some() && parse_number(value.as_bytes()) == len);
    if same_tag && same_date && same_length { HeadUpdate::Fresh } else { HeadUpdate::Changed }
}

#[cfg(test)]
mod tests;
