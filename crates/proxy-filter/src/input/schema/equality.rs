//! When two values are one (RFC 8259 has no word on it; JSON Schema Core, 4.2.2).

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use super::number::{Exact, exact};
use super::value::Value;

/// What was looked at.
#[derive(Debug, Default)]
pub(super) struct Looks {
    pub(super) values: usize,
    /// Of texts and names.
    pub(super) bytes: usize,
}

impl Looks {
    fn text(&mut self, text: &str) {
        self.bytes += text.len();
    }
}

pub(super) fn equal(one: &Value<'_>, other: &Value<'_>, looks: &mut Looks) -> bool {
    looks.values += 1;
    match (one, other) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Number(one), Value::Number(other)) => exact(*one) == exact(*other),
        (Value::Text(one), Value::Text(other)) => same(one, other, looks),
        (Value::Items(one), Value::Items(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| equal(one, other, looks))
        }
        (Value::Members(one), Value::Members(other)) => {
            let mut pairs = one.iter().zip(other.iter());
            one.len() == other.len()
                && pairs.all(|((name, one), (other_name, other))| {
                    same(name, other_name, looks) && equal(one, other, looks)
                })
        }
        _ => false,
    }
}

fn same(one: &str, other: &str, looks: &mut Looks) -> bool {
    if one.len() != other.len() {
        return false;
    }
    looks.text(one);
    one == other
}

/// Whether no two of these are equal. By hashes with a secret key: nobody can choose items that
/// have to be compared with each other.
pub(super) fn all_differ(items: &[Value<'_>], looks: &mut Looks) -> bool {
    let key = RandomState::new();
    // It grows with what was looked at: of a long list the second item may be the first again.
    let mut met: HashMap<u64, Vec<&Value<'_>>> = HashMap::new();
    items.iter().all(|item| {
        let alike = met.entry(hash(item, &key, looks)).or_default();
        let first = alike.iter().all(|other| !equal(item, other, looks));
        alike.push(item);
        first
    })
}

/// The same for values that are equal.
fn hash(value: &Value<'_>, key: &RandomState, looks: &mut Looks) -> u64 {
    looks.values += 1;
    let mut hasher = key.build_hasher();
    match value {
        Value::Null => 0u8.hash(&mut hasher),
        Value::Bool(value) => (1u8, value).hash(&mut hasher),
        Value::Number(number) => match exact(*number) {
            Exact::Whole(whole) => (2u8, whole).hash(&mut hasher),
            Exact::Float(float) => (3u8, float.to_bits()).hash(&mut hasher),
        },
        Value::Text(text) => {
            looks.text(text);
            (4u8, text).hash(&mut hasher);
        }
        Value::Items(items) => {
            (5u8, items.len()).hash(&mut hasher);
            items.iter().for_each(|item| hash(item, key, looks).hash(&mut hasher));
        }
        Value::Members(members) => {
            (6u8, members.len()).hash(&mut hasher);
            for (name, value) in members.iter() {
                looks.text(name);
                (name, hash(value, key, looks)).hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}
