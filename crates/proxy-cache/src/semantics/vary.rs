//! Which of several stored responses a request selects (RFC 9111 section 4.1, RFC 9110 section
//! 12.5.5).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, header};

use super::lists;

mod key;
mod preferences;

pub use key::VariantKey;

/// The most fields that `Vary` may name, each counted once. Every request is compared in all of
/// them with what is stored; a response that names more counts as one with `*`.
pub const MAX_FIELDS: usize = 32;

/// What `Vary` says, all its lines together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// There is none, or it names nothing.
    None,
    /// `*` is among its members, or something that is no field name, or it names more than
    /// [`MAX_FIELDS`]: no request matches.
    Star,
    /// It names these fields.
    Fields(VaryFields),
}

/// The names in `Vary`: sorted, each once. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VaryFields(Arc<[HeaderName]>);

impl VaryFields {
    /// The names, sorted.
    pub fn names(&self) -> &[HeaderName] {
        &self.0
    }

    fn new(mut names: Vec<HeaderName>) -> Self {
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        Self(names.into())
    }
}

impl FromIterator<HeaderName> for VaryFields {
    fn from_iter<I: IntoIterator<Item = HeaderName>>(names: I) -> Self {
        Self::new(names.into_iter().collect())
    }
}

/// Reads every line of `Vary`.
pub fn parse(headers: &HeaderMap) -> Vary {
    let mut names = Vec::new();
    let members =
        headers.get_all(header::VARY).iter().flat_map(|line| lists::members(line.as_bytes()));
    for member in members {
        match HeaderName::from_bytes(member) {
            Ok(name) if member != b"*" => names.push(name),
            _ => return Vary::Star,
        }
    }
    if names.is_empty() {
        return Vary::None;
    }
    let fields = VaryFields::new(names);
    if fields.names().len() > MAX_FIELDS { Vary::Star } else { Vary::Fields(fields) }
}

/// What the request has in the fields that select, in a form in which equivalent values are equal:
///
/// - `Accept-Encoding`: the codings by preference. `gzip, br;q=0.9` and `br;q=0.5,GZIP` are equal;
///   which weights express an order does not matter, the order does.
/// - `Accept-Language`: the ranges with their weights, in no order. `en, de` and `DE,en` are equal.
/// - `Authorization`, `Cookie`, `User-Agent` and others that are no lists: as they are.
/// - others: their lines joined, without the white space around commas.
///
/// A field that is absent differs from one that is empty.
pub fn variant_key(fields: &VaryFields, request: &HeaderMap) -> VariantKey {
    VariantKey::new(fields.clone(), request)
}

/// Whether the request has the same values in the fields that select as the one the key was made
/// of. Allocates nothing.
pub fn matches(key: &VariantKey, request: &HeaderMap) -> bool {
    key.matches(request)
}

#[cfg(test)]
mod tests;
