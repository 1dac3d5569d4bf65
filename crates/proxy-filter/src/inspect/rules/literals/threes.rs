//! A set of threes of bytes, and the search for them.
//!
//! A byte is folded to six bits by leaving out the bit of case and the highest one: letters keep
//! nothing but their case to themselves, signs share their class with another sign or a control. So
//! eight bytes are folded at once by a handful of instructions on a word, and two of them are the
//! number of a word of the bitmap, in which the third is the bit.
//!
//! Only every other offset is looked at. Whoever builds the set puts in, for what is sought, a three
//! for each of the two ways it can lie there.

/// Words of eight bytes that are looked at before anything is done about what was found: no branch
/// depends on them. Each has four bits in a word of what was found.
const GROUP: usize = 16;

/// How many threes there are.
pub(super) const ALL: usize = 1 << 18;

/// A set of threes.
#[derive(Debug)]
pub(super) struct Threes {
    bits: Box<[u64; ALL / 64]>,
}

impl Threes {
    /// The set of these threes.
    pub(super) fn new(threes: impl IntoIterator<Item = usize>) -> Self {
        let mut bits = Box::new([0u64; ALL / 64]);
        for three in threes {
            bits[three / 64] |= 1 << (three % 64);
        }
        Self { bits }
    }

    /// Says the even offsets at which a three of the set begins; behind the end stand zeros. Some
    /// that it says are behind the end.
    pub(super) fn find(&self, text: &[u8], mut found: impl FnMut(usize)) {
        let (mut words, rest) = text.as_chunks::<8>();
        let last = match text.last_chunk() {
            // The end of the text, moved to the beginning of a word.
            Some(end) if !rest.is_empty() => {
                (u64::from_le_bytes(*end) >> (8 * (8 - rest.len()))).to_le_bytes()
            }
            _ => padded(rest),
        };
        let mut say = |end: usize, mut hits: u64| {
            while hits != 0 {
                found(end - 2 - 2 * hits.trailing_zeros() as usize);
                hits &= hits - 1;
            }
        };
        let mut end = 0;
        while let Some((group, behind)) = words.split_at_checked(GROUP) {
            end += 8 * GROUP;
            say(end, hits(&self.bits, group, behind.first().unwrap_or(&last), None));
            words = behind;
        }
        say(end + 8 * words.len() + 8, hits(&self.bits, words, &last, Some(&[0; 8])));
    }
}

/// Whether the threes at the even offsets of at most sixteen words are in the set: a bit for each,
/// the last one lowest. Where there is something behind the word behind, that is looked at, too.
#[inline(never)]
fn hits(
    bits: &[u64; ALL / 64],
    words: &[[u8; 8]],
    behind: &[u8; 8],
    beyond: Option<&[u8; 8]>,
) -> u64 {
    let mut hits = 0;
    let mut lanes = pack(words.first().unwrap_or(behind));
    if let Some((_, words)) = words.split_first() {
        for word in words.iter().chain([behind]) {
            let next = pack(word);
            hits = four(bits, lanes, next, hits);
            lanes = next;
        }
    }
    match beyond {
        Some(beyond) => four(bits, lanes, pack(beyond), hits),
        None => hits,
    }
}

/// A text of less than eight bytes, and zeros behind it.
#[inline]
pub(super) fn padded(text: &[u8]) -> [u8; 8] {
    let mut word = 0;
    for &b in text.iter().rev() {
        word = word << 8 | u64::from(b);
    }
    word.to_le_bytes()
}

/// The same of one word, behind the bits that there are.
#[inline]
fn four(bits: &[u64; ALL / 64], lanes: u64, next: u64, mut hits: u64) -> u64 {
    for lane in 0..4 {
        let word = bits[(lanes >> (16 * lane)) as usize % (ALL / 64)];
        // Of the lane behind, the shift takes the class of the first byte alone.
        let third = if lane < 3 { lanes >> (16 * (lane + 1)) } else { next };
        hits = hits << 1 | word >> (third % 64) & 1;
    }
    hits
}

/// Folds eight bytes, and puts two classes each together: four lanes of twelve bits.
#[inline]
fn pack(bytes: &[u8; 8]) -> u64 {
    const LOW: u64 = 0x1F1F_1F1F_1F1F_1F1F;
    const CASELESS: u64 = 0x2020_2020_2020_2020;
    const EVEN: u64 = 0x003F_003F_003F_003F;
    let word = u64::from_le_bytes(*bytes);
    let classes = word & LOW | word >> 1 & CASELESS;
    classes & EVEN | classes >> 2 & EVEN << 6
}

/// The class of a byte: of 64.
pub(super) const fn fold(b: u8) -> usize {
    (b & 0x1F | b >> 1 & 0x20) as usize
}

/// The number of the three at the beginning of a text.
#[inline]
pub(super) fn number(text: &[u8; 8]) -> usize {
    let lanes = pack(text);
    lanes as usize % (ALL / 64) * 64 + (lanes >> 16 & 63) as usize
}

/// The number of a three of classes.
pub(super) const fn three(a: usize, b: usize, c: usize) -> usize {
    (a | b << 6) << 6 | c
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every three at an even offset is found, whatever the length.
        #[test]
        fn at_every_other_byte(text in "[abAB<0 é]{0,200}", sought in "[abAB<0 ]{3}") {
            let text = text.as_bytes();
            let class = |at: usize| text.get(at).map_or(0, |&b| fold(b));
            let at = |at: usize| three(class(at), class(at + 1), class(at + 2));
            let sought = sought.as_bytes();
            let sought = three(fold(sought[0]), fold(sought[1]), fold(sought[2]));
            let threes = Threes::new([sought]);
            let mut found = Vec::new();
            threes.find(text, |at| found.push(at));
            found.sort_unstable();
            let expected: Vec<usize> =
                (0..text.len()).step_by(2).filter(|&n| at(n) == sought).collect();
            found.retain(|&n| n < text.len());
            prop_assert_eq!(&found, &expected);
            for n in found {
                let word = padded(&text[n..text.len().min(n + 7)]);
                prop_assert_eq!(number(&word), sought);
            }
        }
    }

    #[test]
    fn classes() {
        assert_eq!(fold(b'a'), fold(b'A'));
        assert_ne!(fold(b'a'), fold(b'!'));
        assert_ne!(fold(b'p'), fold(b'0'));
        assert!((0..=255).all(|b| fold(b) < 64));
    }
}
