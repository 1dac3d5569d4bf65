//! Short values that were judged before in the same request, and had nothing.
//!
//! Names of members repeat in each object of a list, and so do many values: what nothing was found
//! in once has nothing in it the next time. Values are compared as they are, so that none passes for
//! another.

use crate::inspect::value::{Place, Value};

/// The longest value that is remembered, in bytes.
const LONGEST: usize = 24;

/// How many values are remembered, two of each of so many hashes. Each takes 32 bytes.
const SETS: usize = 64;

/// Values of one request before any is remembered: most requests have fewer.
const FIRST: u32 = 16;

/// A value: its bytes and where it stood. Zeros where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    words: [u64; LONGEST / 8],
    /// Its length plus one, how deep it was inside of others, its place, and whether it is a name.
    kind: u32,
}

/// The values that had nothing.
#[derive(Debug, Default)]
pub(super) struct Clean(Option<Box<[[Key; 2]; SETS]>>);

impl Key {
    /// The key of the value of this number at this depth, if it is worth remembering. The depth
    /// matters, for what is too deep is not taken apart.
    pub(super) fn of(value: &Value<'_>, depth: u8, number: u32) -> Option<Self> {
        let bytes = value.bytes;
        if number < FIRST || bytes.len() > LONGEST {
            return None;
        }
        // The last word overlaps the one before: with the length, they still are what the value is.
        let words = match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => {
                let middle = if bytes.len() > 16 { bytes[8..].first_chunk() } else { None };
                [*first, *middle.unwrap_or(&[0; 8]), *last].map(u64::from_le_bytes)
            }
            _ => [short(bytes), 0, 0],
        };
        let place = value.place as u32;
        debug_assert!((place as usize) < Place::ALL.len());
        let (length, depth) = (bytes.len() as u32 + 1, u32::from(depth));
        let kind = length << 16 | depth << 8 | place << 1 | u32::from(value.is_name);
        Some(Self { words, kind })
    }

    fn set(&self) -> usize {
        let [a, b, c] = self.words;
        let all = a ^ b.rotate_left(23) ^ c.rotate_left(41) ^ u64::from(self.kind);
        let hash = all.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash >> 32) as usize % SETS
    }
}

/// A text of less than eight bytes: of four and more its ends, which overlap, so that no two of one
/// length are the same.
fn short(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        _ => bytes.iter().fold(0, |word, &b| word << 8 | u64::from(b)),
    }
}

impl Clean {
    /// Whether such a value had nothing.
    pub(super) fn has(&mut self, key: &Key) -> bool {
        let Some(sets) = &mut self.0 else { return false };
        let set = &mut sets[key.set()];
        if set[0] == *key {
            return true;
        }
        // The one that was not asked for makes room for the next.
        let is_second = set[1] == *key;
        if is_second {
            set.swap(0, 1);
        }
        is_second
    }

    /// It had nothing.
    pub(super) fn add(&mut self, key: Key) {
        let sets = self.0.get_or_insert_with(|| Box::new([[Key::default(); 2]; SETS]));
        let set = &mut sets[key.set()];
        *set = [key, set[0]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_same_is_known() {
        let value = Value { place: Place::Json, name: b"a", bytes: b"red", is_name: false };
        let key = |value: Value<'_>| Key::of(&value, 0, FIRST).expect("a short value");
        let mut clean = Clean::default();
        assert!(!clean.has(&key(value)));
        clean.add(key(value));
        assert!(clean.has(&key(value)));
        assert!(clean.has(&key(Value { name: b"b", ..value })));
        for other in [
            Value { place: Place::Form, ..value },
            Value { is_name: true, ..value },
            Value { bytes: b"red\0", ..value },
            Value { bytes: b"", ..value },
            Value { bytes: b"blue", ..value },
        ] {
            assert!(!clean.has(&key(other)), "{other:?}");
        }
        let long = |bytes: &'static [u8]| key(Value { bytes, ..value });
        for (one, other) in [
            (&b"01234567"[..], &b"0123456701234567"[..]),
            (b"0123456701234567", b"012345670123456701234567"),
            (b"0000000000", b"00000000000"),
            (b"ab", b"ba"),
            (b"abcde", b"abcdf"),
            (b"abcde", b"bbcde"),
            (b"abcabc", b"abcbbc"),
        ] {
            assert_ne!(long(one), long(other));
        }
        assert!(Key::of(&value, 0, FIRST - 1).is_none());
        assert_ne!(Key::of(&value, 1, FIRST), Key::of(&value, 0, FIRST));
        assert!(Key::of(&Value { bytes: &[b'a'; LONGEST + 1], ..value }, 0, FIRST).is_none());
    }
}
