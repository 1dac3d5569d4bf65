//! Ranges of a stored response (RFC 9110 section 14, RFC 9111 sections 3.3 and 3.4).
//!
//! What bounds the work that one request can ask for (RFC 9110 section 17.15, CVE-2011-3192): a
//! field with more than [`RANGES_LIMIT`] ranges is ignored; so is one in which more than two ranges
//! overlap at one place; ranges that overlap, or stand closer together than the head of a part is
//! long, are sent as one. What is sent is therefore never more than the whole and 16 heads.

use std::ops::Range;
use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, header};

use super::directives::parse_number;
use super::entity_tag::{EntityTag, strong_date};
use super::{dates, lists};

/// The most ranges that one request may ask for.
pub const RANGES_LIMIT: usize = 16;

/// Ranges with fewer bytes between them are sent as one (RFC 9110 section 15.3.7.2).
const GAP: u64 = 80;

/// The ranges that a request asks for, before the length is known; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSet(Vec<Spec>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// From this byte to that one, both included, or to the end.
    From(u64, Option<u64>),
    /// The last so many bytes.
    Suffix(u64),
}

/// Reads `Range`. None if it is to be ignored: absent, of another unit than bytes, broken, given
/// twice, or of more than [`RANGES_LIMIT`] ranges (RFC 9110 section 14.2).
///
/// The method is the caller's business: `Range` is defined for GET only.
pub fn parse(request: &HeaderMap) -> Option<RangeSet> {
    let mut lines = request.get_all(header::RANGE).iter();
    let line = lists::trim(lines.next()?.as_bytes());
    let (unit, set) = line.split_at_checked(6)?;
    // Section 14.1: names of units are case-insensitive.
    if lines.next().is_some() || !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let mut specs = Vec::new();
    for member in lists::members(set) {
        if specs.len() == RANGES_LIMIT {
            return None;
        }
        specs.push(spec(member)?);
    }
    (!specs.is_empty()).then_some(RangeSet(specs))
}

fn spec(member: &[u8]) -> Option<Spec> {
    let dash = memchr::memchr(b'-', member)?;
    let (first, last) = (&member[..dash], &member[dash + 1..]);
    if first.is_empty() {
        return parse_number(last).map(Spec::Suffix);
    }
    let first = parse_number(first)?;
    if last.is_empty() {
        return Some(Spec::From(first, None));
    }
    let last = parse_number(last)?;
    // Section 14.1.1: invalid if the last position is less than the first.
    (first <= last).then_some(Spec::From(first, Some(last)))
}

impl RangeSet {
    /// The only range as first and last byte, where there is one range and it is no suffix: what
    /// can be asked of parts whose complete length is not known.
    pub fn single(&self) -> Option<(u64, Option<u64>)> {
        match self.0[..] {
            [Spec::From(first, last)] => Some((first, last)),
            _ => None,
        }
    }
}

/// What is sent of content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    /// All of it, with status 200: the field is ignored.
    Whole,
    /// One range, with `Content-Range`.
    One(Range<u64>),
    /// Several, as `multipart/byteranges`.
    Many(Vec<Range<u64>>),
    /// None of them is within it: 416.
    Unsatisfiable,
}

/// Which bytes of content of this length are meant (RFC 9110 section 14.1.2). No range is empty,
/// and none reaches past the end.
pub fn select(set: &RangeSet, len: u64) -> Selected {
    let ranges: Vec<Range<u64>> = set.0.iter().filter_map(|spec| within(*spec, len)).collect();
    match &ranges[..] {
        // Of nothing, the last five bytes are nothing, which no Content-Range can say.
        [] if len == 0 && set.0.iter().any(|s| matches!(s, Spec::Suffix(1..))) => Selected::Whole,
        [] => Selected::Unsatisfiable,
        [range] => Selected::One(range.clone()),
        _ => coalesce(ranges),
    }
}

fn within(spec: Spec, len: u64) -> Option<Range<u64>> {
    let range = match spec {
        Spec::From(first, None) => first..len,
        Spec::From(first, Some(last)) => first..len.min(last.saturating_add(1)),
        Spec::Suffix(count) => len.saturating_sub(count)..len,
    };
    (!range.is_empty()).then_some(range)
}

fn coalesce(ranges: Vec<Range<u64>>) -> Selected {
    let mut sorted = ranges.clone();
    sorted.sort_unstable_by_key(|range| (range.start, range.end));
    // Three overlap at one place exactly where one starts before the second greatest end so far.
    let (mut greatest, mut second) = (0, 0);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        if range.start < second {
            return Selected::Whole;
        }
        second = second.max(greatest.min(range.end));
        greatest = greatest.max(range.end);
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP) => {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    match &merged[..] {
        [range] => Selected::One(range.clone()),
        // Nothing was merged: in the order that was asked for.
        _ if merged.len() == ranges.len() => Selected::Many(ranges),
        _ => Selected::Many(merged),
    }
}

/// Whether `Range` applies: there is no `If-Range`, or its validator is the stored one
/// (RFC 9110 section 13.1.5): an entity tag by strong comparison, a date if it is exactly
/// `Last-Modified` and that is a strong validator.
pub fn if_range_holds(
    request: &HeaderMap,
    stored_headers: &HeaderMap,
    received_at: SystemTime,
) -> bool {
    let mut lines = request.get_all(header::IF_RANGE).iter();
    let Some(line) = lines.next() else { return true };
    if lines.next().is_some() {
        return false;
    }
    let value = lists::trim(line.as_bytes());
    // A date has no quotation mark in its first three characters.
    if value.iter().take(3).any(|&b| b == b'"') {
        let wanted = EntityTag::parse(value);
        return EntityTag::of(stored_headers).is_some_and(|tag| tag.matches_strongly(&wanted));
    }
    let wanted = dates::parse(value, received_at);
    wanted.is_some() && wanted == strong_date(stored_headers, received_at)
}

/// `Content-Range` of a part (RFC 9110 section 14.4). The range must not be empty.
pub fn content_range(range: &Range<u64>, len: u64) -> HeaderValue {
    text(format_args!("bytes {}-{}/{len}", range.start, range.end.saturating_sub(1)))
}

/// `Content-Range` of a 416 (RFC 9110 section 15.5.17).
pub fn unsatisfied(len: u64) -> HeaderValue {
    text(format_args!("bytes */{len}"))
}

fn text(value: std::fmt::Arguments<'_>) -> HeaderValue {
    HeaderValue::try_from(value.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// Which part a 206 holds (RFC 9110 section 14.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The bytes of it; at least one.
    pub range: Range<u64>,
    /// The length of the whole, if the sender knows it.
    pub complete: Option<u64>,
}

/// Reads `Content-Range`. None if it is absent, of another unit, unsatisfied, broken or given
/// twice.
pub fn parse_content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let mut lines = headers.get_all(header::CONTENT_RANGE).iter();
    let line = lists::trim(lines.next()?.as_bytes());
    let (unit, value) = line.split_at_checked(6)?;
    if lines.next().is_some() || !unit.eq_ignore_ascii_case(b"bytes ") {
        return None;
    }
    let slash = memchr::memchr(b'/', value)?;
    let dash = memchr::memchr(b'-', &value[..slash])?;
    let first = parse_number(&value[..dash])?;
    let end = parse_number(&value[dash + 1..slash])?.checked_add(1)?;
    let complete = match &value[slash + 1..] {
        b"*" => None,
        number => Some(parse_number(number)?),
    };
    (first < end && complete.is_none_or(|complete| end <= complete))
        .then_some(ContentRange { range: first..end, complete })
}

/// Whether two responses are parts of the same representation: they have the same strong
/// validator (RFC 9111 section 3.4, RFC 9110 section 15.3.7.3).
pub fn may_combine(a: &HeaderMap, b: &HeaderMap) -> bool {
    match (EntityTag::of(a), EntityTag::of(b)) {
        (Some(one), Some(other)) => one.matches_strongly(&other),
        (None, None) => {
            // Where there is no Date, nothing tells that Last-Modified is strong.
            let date = |headers| strong_date(headers, SystemTime::UNIX_EPOCH);
            date(a).is_some() && date(a) == date(b)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
