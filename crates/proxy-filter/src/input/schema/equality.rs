//! When two values are one (RFC 8259 has no word on it; JSON Schema Core, 4.2.2).

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use serde_json::Value;

use super::number::{Exact, exact};

pub(super) fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => exact(one) == exact(other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same = |(name, value)| other.get(name).is_some_and(|other| equal(value, other));
            one.len() == other.len() && one.iter().all(same)
        }
        (one, other) => one == other,
    }
}

/// Whether no two of these are equal. By hashes with a secret key: nobody can choose items that
/// have to be compared with each other. `looks` is told of every value that was looked at, with the
/// bytes of its text.
pub(super) fn all_differ(items: &[Value], looks: &mut dyn FnMut(usize)) -> bool {
    let key = RandomState::new();
    let mut met: HashMap<u64, Vec<&Value>> = HashMap::with_capacity(items.len());
    items.iter().all(|item| {
        let alike = met.entry(hash(item, &key, looks)).or_default();
        let first = alike.iter().all(|other| !equal(item, other));
        alike.push(item);
        first
    })
}

/// The same for values that are equal.
fn hash(value: &Value, key: &RandomState, looks: &mut dyn FnMut(usize)) -> u64 {
    looks(value.as_str().map_or(0, str::len));
    let mut hasher = key.build_hasher();
    match value {
        Value::Null => 0u8.hash(&mut hasher),
        Value::Bool(value) => (1u8, value).hash(&mut hasher),
        Value::Number(number) => match exact(number) {
            Exact::Whole(whole) => (2u8, whole).hash(&mut hasher),
            Exact::Float(float) => (3u8, float.to_bits()).hash(&mut hasher),
        },
        Value::String(text) => (4u8, text).hash(&mut hasher),
        Value::Array(items) => {
            (5u8, items.len()).hash(&mut hasher);
            items.iter().for_each(|item| hash(item, key, looks).hash(&mut hasher));
        }
        Value::Object(members) => {
            // Members have no order.
            let mut of =
                |(name, value): (&String, _)| key.hash_one((name, hash(value, key, looks)));
            (6u8, members.iter().map(&mut of).fold(0u64, u64::wrapping_add)).hash(&mut hasher);
        }
    }
    hasher.finish()
}
