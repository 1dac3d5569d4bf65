//! `PackedNames`: a table of names that is little more than the names.
//!
//! Names are in buckets by their hash, some four in each, one after the other in one piece of
//! memory. Three characters of a name take two bytes, for names are made of 39 characters. An entry
//! is found by its hash and compared character by character, so nothing is taken for another. For
//! most names that are not there, a look at the bucket's bits is enough.
//!
//! ```text
//! entry   a byte: five bits of the hash, a bit for each kind
//!         a byte: the length of the name
//!         two bytes for three characters, counted from the end of the name
//! ```

use proxy_core::NameKind;

/// The longest name, in bytes.
const MAX_NAME: usize = 253;
/// Names of a bucket, on average between half of this and this.
const BUCKET: usize = 4;
/// Bytes of an entry before its characters.
const HEAD: usize = 2;
/// Bits of a mark that are kinds.
const KINDS: u8 = 0b111;

/// The numbers of the characters of names, without case; 0 for all others.
static CODES: [u8; 256] = {
    let mut codes = [0; 256];
    let characters = b"abcdefghijklmnopqrstuvwxyz0123456789-_.";
    let mut n = 0;
    while n < characters.len() {
        codes[characters[n] as usize] = n as u8 + 1;
        codes[characters[n].to_ascii_uppercase() as usize] = n as u8 + 1;
        n += 1;
    }
    codes
};

/// Where a bucket begins, which is where the one before it ends.
#[derive(Clone, Copy)]
struct Bucket {
    start: u32,
    /// A bit for each name, by its hash.
    bits: u32,
}

/// A table of names.
#[derive(Default)]
pub(super) struct PackedNames {
    entries: Vec<u8>,
    /// The buckets, and one more behind them, which is empty. None at all without names.
    buckets: Vec<Bucket>,
    /// The bits of a hash's upper half that are not the number of its bucket.
    shift: u32,
    len: usize,
}

impl PackedNames {
    /// How many different names there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        self.entries.capacity() + self.buckets.capacity() * size_of::<Bucket>()
    }

    /// The longest name that takes in a host: where it begins in the host, and as what.
    pub(super) fn longest(&self, host: &[u8]) -> Option<(usize, NameKind)> {
        if self.len == 0 {
            return None;
        }
        let mut hash = Hash::default();
        let mut found = None;
        for at in (host.len().saturating_sub(MAX_NAME)..host.len()).rev() {
            let code = CODES[usize::from(host[at])];
            if code == 0 {
                break;
            }
            hash.add(code);
            let whole = at == 0;
            if !whole && host[at - 1] != b'.' {
                continue;
            }
            let kinds = self.kinds(&host[at..], hash.finish());
            let specific = if whole { NameKind::Exact } else { NameKind::Below };
            let kind = [specific, NameKind::Tree].into_iter().find(|kind| kinds & bit(*kind) != 0);
            if let Some(kind) = kind {
                found = Some((at, kind));
            }
        }
        found
    }

    /// The kinds of a name, as bits; 0 where it is not among them.
    fn kinds(&self, name: &[u8], hash: u64) -> u8 {
        let bucket = ((hash >> 32) >> self.shift) as usize;
        let Bucket { start, bits } = self.buckets[bucket];
        if bits & glance((hash >> 32) as u32) == 0 {
            return 0;
        }
        let mut entries = &self.entries[start as usize..self.buckets[bucket + 1].start as usize];
        let mark = mark(hash);
        while let [head, length, ..] = *entries {
            let (entry, rest) = entries.split_at(size(usize::from(length)));
            let may_be = head & !KINDS == mark && usize::from(length) == name.len();
            if may_be && is_same(&entry[HEAD..], name) {
                return head & KINDS;
            }
            entries = rest;
        }
        0
    }
}

/// Collects names.
#[derive(Debug, Default)]
pub(super) struct NamePacker {
    /// Entries, in the order they came.
    entries: Vec<u8>,
    /// The upper half of the hash of each entry, and where it stands.
    places: Vec<(u32, u32)>,
}

impl NamePacker {
    /// Adds a name. Past 4 GiB of names, and where it is no name, it is left out.
    pub(super) fn add(&mut self, name: &[u8], kind: NameKind) {
        let (Ok(length), Ok(start)) = (u8::try_from(name.len()), u32::try_from(self.entries.len()))
        else {
            return;
        };
        if length == 0 || u32::try_from(self.entries.len() + size(name.len())).is_err() {
            return;
        }
        let mut hash = Hash::default();
        for &byte in name.iter().rev() {
            let code = CODES[usize::from(byte)];
            if code == 0 {
                return;
            }
            hash.add(code);
        }
        let hash = hash.finish();
        self.entries.extend([mark(hash) | bit(kind), length]);
        self.entries.extend(name.rchunks(3).flat_map(word));
        self.places.push(((hash >> 32) as u32, start));
    }

    /// How many were added.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The table.
    pub(super) fn pack(self) -> PackedNames {
        let Self { entries, mut places } = self;
        if places.is_empty() {
            return PackedNames::default();
        }
        // All but the mark, which has the kinds.
        let rest = |place: &(u32, u32)| {
            let start = place.1 as usize;
            &entries[start + 1..start + size(usize::from(entries[start + 1]))]
        };
        places.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| rest(a).cmp(rest(b))));
        let bits = places.len().div_ceil(BUCKET).next_power_of_two().ilog2();
        let shift = u32::BITS - bits;
        let buckets = 1_usize << bits;
        let mut table = Vec::with_capacity(buckets + 1);
        let mut packed = Vec::with_capacity(entries.len());
        let mut len = 0;
        let mut last = None;
        for place in &places {
            let mark = entries[place.1 as usize];
            match last {
                Some((before, start)) if rest(before) == rest(place) => {
                    let start: usize = start;
                    packed[start] |= mark;
                    continue;
                }
                _ => {}
            }
            let bucket = (u64::from(place.0) >> shift) as usize;
            table.resize(bucket + 1, Bucket { start: packed.len() as u32, bits: 0 });
            table[bucket].bits |= glance(place.0);
            last = Some((place, packed.len()));
            packed.push(mark);
            packed.extend_from_slice(rest(place));
            len += 1;
        }
        table.resize(buckets + 1, Bucket { start: packed.len() as u32, bits: 0 });
        packed.shrink_to_fit();
        PackedNames { entries: packed, buckets: table, shift, len }
    }
}

/// The hash of a name, which is added from its end, code by code.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn add(&mut self, code: u8) {
        self.0 = (self.0 ^ u64::from(code)).wrapping_mul(0x0100_0000_01b3);
    }

    /// The upper half is even enough to choose buckets by.
    const fn finish(&self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 29
    }
}

/// The bits of a hash that stand in an entry, for a glance. They are none that choose the bucket.
const fn mark(hash: u64) -> u8 {
    (hash as u8) & !KINDS
}

/// The bit of a name in its bucket, by the upper half of its hash.
const fn glance(hash: u32) -> u32 {
    1 << (hash & 31)
}

/// Bytes of the entry of a name.
const fn size(length: usize) -> usize {
    HEAD + length.div_ceil(3) * 2
}

/// Up to three characters as two bytes.
fn word(characters: &[u8]) -> [u8; 2] {
    let code = |byte: &u8| u16::from(CODES[usize::from(*byte)]);
    characters.iter().fold(0, |word, byte| word * 40 + code(byte)).to_le_bytes()
}

fn is_same(words: &[u8], name: &[u8]) -> bool {
    words.chunks_exact(2).zip(name.rchunks(3)).all(|(is, characters)| is == word(characters))
}

const fn bit(kind: NameKind) -> u8 {
    match kind {
        NameKind::Tree => 1,
        NameKind::Below => 2,
        NameKind::Exact => 4,
    }
}
