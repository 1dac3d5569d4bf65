//! Finds the literals of all rules in one pass.
//!
//! Of each literal the rarest three bytes in a row are looked for, at every other byte: a bitmap of
//! folded threes says, mostly, that there is nothing. Where there may be something, the few literals
//! with these three are compared. On text of requests this is many times as fast as an automaton with
//! a state for each byte of a thousand literals, whose table does not fit the first cache.
//!
//! The cost is linear in the text: at every other byte one look at the bitmap and at most as many
//! comparisons as the largest bucket has literals, which is fixed by the rules.

mod threes;
mod usual;

use crate::inspect::steps::steps;
use threes::{Threes, fold, three};

/// The most literals: each has two entries, whose numbers have 16 bits.
pub(super) const MOST: usize = 32_767;

/// The longest literal, in bytes.
pub(super) const LONGEST: usize = 255;

/// A literal that is compared where its three bytes stand.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Its bytes from there on, at most eight, to be compared at once in any case.
    bytes: u64,
    /// The bit of case of each letter.
    case: u64,
    /// All bits of each byte that is there.
    there: u64,
    literal: u16,
    length: u16,
    /// Where in the literal the three bytes begin; before it, where it is that short.
    offset: i16,
    /// Whether the bytes are all of it.
    is_whole: bool,
}

impl Entry {
    fn of(literal: &[u8], number: usize, offset: i16) -> Self {
        let mut entry = Self {
            bytes: 0,
            case: 0,
            there: 0,
            literal: number as u16,
            length: literal.len() as u16,
            offset,
            is_whole: offset <= 0 && literal.len() as i16 <= offset + 8,
        };
        for n in 0..8 {
            let at = usize::try_from(offset + n).ok();
            let Some(&b) = at.and_then(|at| literal.get(at)) else { continue };
            entry.bytes |= u64::from(b) << (8 * n);
            entry.there |= 0xFF << (8 * n);
            if b.is_ascii_lowercase() {
                entry.case |= 0x20 << (8 * n);
            }
        }
        entry
    }

    /// Whether it may stand where the text goes on like this.
    fn fits(&self, text: u64) -> bool {
        (text | self.case) & self.there == self.bytes
    }
}

/// Threes of a bucket. Of so few mostly one is in the set.
const BUCKET: usize = 8;

const BUCKETS: usize = threes::ALL / BUCKET;

/// The literals, compiled.
#[derive(Debug)]
pub(super) struct Literals {
    texts: Vec<Box<[u8]>>,
    threes: Threes,
    /// Where the bucket of each eight threes begins in `members`, and where the last one ends.
    buckets: Box<[u32; BUCKETS + 1]>,
    /// The numbers of entries.
    members: Vec<u16>,
    entries: Vec<Entry>,
}

impl Literals {
    /// Compiles literals, which are in lower case and have two bytes or more, at most [`MOST`] of at
    /// most [`LONGEST`] bytes. Shorter ones are never found.
    pub(super) fn new(texts: &[Vec<u8>]) -> Self {
        debug_assert!(texts.len() <= MOST && texts.iter().all(|text| text.len() <= LONGEST));
        // The bucket of each three of each entry.
        let mut all: Vec<(usize, u16)> = Vec::new();
        let mut threes = Vec::new();
        let mut entries = Vec::new();
        for (number, text) in texts.iter().enumerate().filter(|(_, text)| text.len() > 1) {
            // A literal lies at an even offset of the text, or at an odd one.
            for phase in [0, -1] {
                let length = text.len() as i16;
                let offsets = (phase..length - 1).step_by(2);
                let Some(offset) = offsets.min_by_key(|&offset| usual::three(text, offset)) else {
                    continue;
                };
                let entry = entries.len() as u16;
                entries.push(Entry::of(text, number, offset));
                // Before and behind it may stand anything.
                let class = |n: i16| {
                    let at = usize::try_from(offset + n).ok();
                    match at.and_then(|at| text.get(at)) {
                        Some(&b) => fold(b)..fold(b) + 1,
                        None => 0..64,
                    }
                };
                for (a, b) in class(0).flat_map(|a| class(1).map(move |b| (a, b))) {
                    threes.extend(class(2).map(|c| three(a, b, c)));
                    all.extend(class(2).map(|c| (three(a, b, c) / BUCKET, entry)));
                }
            }
        }
        all.sort_unstable();
        // Of the threes of a bucket many are of the same entry, where anything may stand beside it.
        all.dedup();
        let mut buckets = Box::new([0; BUCKETS + 1]);
        for (bucket, begin) in buckets.iter_mut().enumerate() {
            *begin = all.partition_point(|(of, _)| *of < bucket) as u32;
        }
        Self {
            texts: texts.iter().map(|t| t.clone().into_boxed_slice()).collect(),
            threes: Threes::new(threes),
            buckets,
            members: all.into_iter().map(|(_, entry)| entry).collect(),
            entries,
        }
    }

    /// Says every literal that stands in a text, in any case, and where it begins and ends.
    pub(super) fn find(&self, text: &[u8], mut found: impl FnMut(usize, usize, usize)) {
        steps(text.len());
        self.threes.find(text, |at| self.compare(text, at, &mut found));
    }

    /// Compares the literals of a bucket, whose three bytes stand at `at`.
    #[inline]
    fn compare(&self, text: &[u8], at: usize, found: &mut impl FnMut(usize, usize, usize)) {
        let Some(rest) = text.get(at..) else { return };
        let near = rest.first_chunk().copied().unwrap_or_else(|| threes::padded(rest));
        let bucket = threes::number(&near) / BUCKET;
        let near = u64::from_le_bytes(near);
        let range = self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize;
        for &entry in self.members.get(range).unwrap_or_default() {
            steps(1);
            let entry = &self.entries[usize::from(entry)];
            if entry.fits(near) {
                self.confirm(text, at, entry, found);
            }
        }
    }

    /// Says the literal of an entry that fits, if all of it stands there.
    #[inline(never)]
    fn confirm(
        &self,
        text: &[u8],
        at: usize,
        entry: &Entry,
        found: &mut impl FnMut(usize, usize, usize),
    ) {
        if self.is_whole(text, at, entry) {
            let start = at.wrapping_add_signed(-isize::from(entry.offset));
            found(usize::from(entry.literal), start, start + usize::from(entry.length));
        }
    }

    /// Whether all of a literal stands where it fits.
    fn is_whole(&self, text: &[u8], at: usize, entry: &Entry) -> bool {
        let Some(start) = at.checked_add_signed(-isize::from(entry.offset)) else { return false };
        let end = start + usize::from(entry.length);
        if entry.is_whole {
            return end <= text.len();
        }
        let literal = &self.texts[usize::from(entry.literal)];
        text.get(start..end).is_some_and(|text| text.eq_ignore_ascii_case(literal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(literals: &[Vec<u8>], text: &[u8]) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        Literals::new(literals).find(text, |literal, start, _| all.push((start, literal)));
        all.sort_unstable();
        // Of the threes of a bucket many are of the same entry, where anything may stand beside it.
        all.dedup();
        all.dedup();
        all
    }

    proptest! {
        /// All that a search of each literal by itself finds, and nothing else.
        #[test]
        fn as_a_plain_search(
            literals in proptest::collection::vec("[ab$(/_ ]{2,11}", 1..12),
            parts in proptest::collection::vec((0usize..20, "[abAB$(/_ x]{0,4}"), 0..30),
        ) {
            let literals: Vec<Vec<u8>> = literals.into_iter().map(String::into_bytes).collect();
            let mut text = Vec::new();
            for (number, between) in parts {
                match literals.get(number % 12) {
                    Some(literal) if number < 12 => text.extend_from_slice(literal),
                    Some(literal) => text.extend(literal.to_ascii_uppercase()),
                    None => {}
                }
                text.extend_from_slice(between.as_bytes());
            }
            let mut expected: Vec<(usize, usize)> = literals
                .iter()
                .enumerate()
                .flat_map(|(number, literal)| {
                    text.windows(literal.len())
                        .enumerate()
                        .filter(|(_, w)| w.eq_ignore_ascii_case(literal))
                        .map(move |(at, _)| (at, number))
                        .collect::<Vec<_>>()
                })
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(find(&literals, &text), expected);
        }
    }

    #[test]
    fn at_the_edges() {
        let literals = [b"ab".to_vec(), b"select".to_vec(), b"$(".to_vec()];
        assert_eq!(find(&literals, b"ab"), [(0, 0)]);
        assert_eq!(find(&literals, b"xAB"), [(1, 0)]);
        assert_eq!(find(&literals, b"SELECT$("), [(0, 1), (6, 2)]);
        assert_eq!(find(&literals, b""), []);
    }
}
