//! Normal forms of the fields that say what a client prefers (RFC 9110 sections 12.4.2 and 12.5).

use std::cmp::Reverse;

use http::HeaderValue;
use http::header::GetAll;

use super::key::{Sink, joined};
use crate::semantics::lists::{self, is_token};

/// A member with its weight in thousandths.
#[derive(Clone, Copy, Default)]
struct Preference<'a> {
    name: &'a [u8],
    weight: u16,
}

/// How many members have a normal form. A list of more is taken as it is written.
const LIMIT: usize = 24;

/// What a value begins with, so that a normal form and a value taken as it is are never equal.
const NORMAL: &[u8] = b"=";
const WRITTEN: &[u8] = b"~";

/// `Accept-Encoding`: the codings in groups of equal weight, the best first, those refused with
/// weight 0 last.
pub(super) fn codings(lines: &GetAll<'_, HeaderValue>, sink: &mut impl Sink) -> bool {
    let mut all = [Preference::default(); LIMIT];
    let Some(found) = read(lines, &mut all, coding_name) else {
        return sink.put(WRITTEN) && joined(lines, sink);
    };
    let mut before: Option<Preference<'_>> = None;
    sink.put(NORMAL)
        && found.iter().all(|&coding| {
            let separator: &[u8] = match before.replace(coding) {
                _ if coding.weight == 0 => b";",
                None => b"",
                Some(before) if before.weight == coding.weight => b",",
                Some(_) => b">",
            };
            sink.put(separator) && put_lowercase(sink, coding.name)
        })
}

/// `Accept-Language`: the ranges with their weights.
pub(super) fn languages(lines: &GetAll<'_, HeaderValue>, sink: &mut impl Sink) -> bool {
    let mut all = [Preference::default(); LIMIT];
    let Some(found) = read(lines, &mut all, |name| name) else {
        return sink.put(WRITTEN) && joined(lines, sink);
    };
    sink.put(NORMAL)
        && found.iter().all(|range| {
            put_lowercase(sink, range.name)
                && sink.put(b";")
                && sink.put(&range.weight.to_be_bytes())
        })
}

/// The members, sorted by weight and name. None if one is broken, if one name is there twice with
/// different weights, or if there are too many.
fn read<'a, 'b>(
    lines: &GetAll<'a, HeaderValue>,
    all: &'b mut [Preference<'a>; LIMIT],
    name_of: fn(&'a [u8]) -> &'a [u8],
) -> Option<&'b [Preference<'a>]> {
    let mut count = 0;
    for member in lines.iter().flat_map(|line| lists::members(line.as_bytes())) {
        let preference = parse(member)?;
        let preference = Preference { name: name_of(preference.name), ..preference };
        let known = all[..count].iter().find(|p| p.name.eq_ignore_ascii_case(preference.name));
        match known {
            Some(known) if known.weight == preference.weight => {}
            Some(_) => return None,
            None => {
                *all.get_mut(count)? = preference;
                count += 1;
            }
        }
    }
    let found = &mut all[..count];
    found.sort_unstable_by(|a, b| {
        Reverse(a.weight)
            .cmp(&Reverse(b.weight))
            .then_with(|| lowercase(a.name).cmp(lowercase(b.name)))
    });
    Some(found)
}

fn lowercase(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().map(u8::to_ascii_lowercase)
}

fn put_lowercase(sink: &mut impl Sink, name: &[u8]) -> bool {
    lowercase(name).all(|b| sink.put(&[b]))
}

/// RFC 9110 section 8.4.1: recipients consider the old names equivalent.
fn coding_name(name: &[u8]) -> &[u8] {
    if name.eq_ignore_ascii_case(b"x-gzip") {
        b"gzip"
    } else if name.eq_ignore_ascii_case(b"x-compress") {
        b"compress"
    } else {
        name
    }
}

/// `name` or `name;q=weight`.
fn parse(member: &[u8]) -> Option<Preference<'_>> {
    let (name, weight) = match member.iter().position(|&b| b == b';') {
        None => (member, 1000),
        Some(i) => match lists::trim(&member[i + 1..]) {
            [b'q' | b'Q', b'=', value @ ..] => (lists::trim(&member[..i]), weight(value)?),
            _ => return None,
        },
    };
    let is_name = !name.is_empty() && name.iter().all(|&b| is_token(b));
    is_name.then_some(Preference { name, weight })
}

/// `qvalue` of RFC 9110 section 12.4.2, in thousandths.
fn weight(value: &[u8]) -> Option<u16> {
    let (whole, digits) = match value {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut part = 0;
    for i in 0..3 {
        let digit = digits.get(i).copied().unwrap_or(b'0');
        part = part * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    let weight = u16::from(whole - b'0') * 1000 + part;
    (weight <= 1000).then_some(weight)
}
