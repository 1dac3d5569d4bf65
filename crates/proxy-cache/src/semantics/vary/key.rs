//! The values of the fields that select.

use http::header::GetAll;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{VaryFields, preferences};
use crate::semantics::lists;

/// What a request has in the fields that `Vary` names; see [`variant_key`](super::variant_key).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VariantKey {
    fields: VaryFields,
    /// For each field in order: 0 if it is absent; otherwise 1, its length in four bytes, its
    /// normal form.
    values: Box<[u8]>,
}

/// Where a normal form goes: into a key, or beside one to be compared.
pub(super) trait Sink {
    /// Takes the next bytes. False if no more are wanted.
    fn put(&mut self, bytes: &[u8]) -> bool;
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> bool {
        self.extend_from_slice(bytes);
        true
    }
}

/// What of an expected value has not been seen yet.
struct Expected<'a>(&'a [u8]);

impl Sink for Expected<'_> {
    fn put(&mut self, bytes: &[u8]) -> bool {
        self.0.strip_prefix(bytes).map(|rest| self.0 = rest).is_some()
    }
}

impl VariantKey {
    pub(super) fn new(fields: VaryFields, request: &HeaderMap) -> Self {
        let mut values = Vec::new();
        for name in fields.names() {
            let lines = request.get_all(name);
            if lines.iter().next().is_none() {
                values.push(0);
                continue;
            }
            values.push(1);
            let start = values.len();
            values.extend_from_slice(&[0; 4]);
            normalise(name, &lines, &mut values);
            let len = u32::try_from(values.len() - start - 4).unwrap_or(u32::MAX);
            values[start..start + 4].copy_from_slice(&len.to_be_bytes());
        }
        Self { fields, values: values.into() }
    }

    /// The fields that select.
    pub fn fields(&self) -> &VaryFields {
        &self.fields
    }

    pub(super) fn matches(&self, request: &HeaderMap) -> bool {
        let mut values = &*self.values;
        self.fields.names().iter().all(|name| {
            let Some((expected, rest)) = next_value(values) else { return false };
            values = rest;
            let lines = request.get_all(name);
            match expected {
                None => lines.iter().next().is_none(),
                Some(value) => {
                    let mut expected = Expected(value);
                    lines.iter().next().is_some()
                        && normalise(name, &lines, &mut expected)
                        && expected.0.is_empty()
                }
            }
        })
    }

    /// For a store that keeps bytes, and to order variants; [`from_bytes`](Self::from_bytes) reads
    /// them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let names = self.fields.names();
        let count = u16::try_from(names.len()).unwrap_or(u16::MAX);
        let mut bytes = count.to_be_bytes().to_vec();
        for name in names {
            // http knows no longer ones than 2^16 - 1.
            let len = u16::try_from(name.as_str().len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(name.as_str().as_bytes());
        }
        bytes.extend_from_slice(&self.values);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. None for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (count, mut rest) = bytes.split_first_chunk()?;
        let mut names = Vec::new();
        for _ in 0..u16::from_be_bytes(*count) {
            let (len, tail) = rest.split_first_chunk()?;
            let (name, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
            names.push(HeaderName::from_lowercase(name).ok()?);
            rest = tail;
        }
        let fields = VaryFields::new(names.clone());
        if *fields.names() != *names {
            return None;
        }
        let values = rest;
        for _ in &names {
            (_, rest) = next_value(rest)?;
        }
        rest.is_empty().then(|| Self { fields, values: values.into() })
    }
}

/// A value, or none for an absent field; and what is behind it.
fn next_value(values: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    match values.split_first()? {
        (0, rest) => Some((None, rest)),
        (1, rest) => {
            let (len, rest) = rest.split_first_chunk()?;
            let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
            let (value, rest) = rest.split_at_checked(len)?;
            Some((Some(value), rest))
        }
        _ => None,
    }
}

/// Fields that are no lists, in which a comma and what is around it are part of the value.
fn is_single(name: &HeaderName) -> bool {
    const SINGLE: [HeaderName; 12] = [
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::COOKIE,
        header::HOST,
        header::IF_MODIFIED_SINCE,
        header::IF_RANGE,
        header::IF_UNMODIFIED_SINCE,
        header::ORIGIN,
        header::RANGE,
        header::REFERER,
        header::FROM,
        header::USER_AGENT,
    ];
    SINGLE.contains(name)
}

fn normalise(name: &HeaderName, lines: &GetAll<'_, HeaderValue>, sink: &mut impl Sink) -> bool {
    if *name == header::ACCEPT_ENCODING {
        preferences::codings(lines, sink)
    } else if *name == header::ACCEPT_LANGUAGE {
        preferences::languages(lines, sink)
    } else if is_single(name) {
        as_it_is(lines, sink)
    } else {
        joined(lines, sink)
    }
}

/// The lines, apart: no value has a line break in it.
fn as_it_is(lines: &GetAll<'_, HeaderValue>, sink: &mut impl Sink) -> bool {
    lines
        .iter()
        .enumerate()
        .all(|(i, line)| (i == 0 || sink.put(b"\n")) && sink.put(lists::trim(line.as_bytes())))
}

/// One list, without the white space around its commas (RFC 9111 section 4.1).
pub(super) fn joined(lines: &GetAll<'_, HeaderValue>, sink: &mut impl Sink) -> bool {
    let mut members = lines.iter().flat_map(|line| lists::members(line.as_bytes())).enumerate();
    members.all(|(i, member)| (i == 0 || sink.put(b",")) && sink.put(member))
}
