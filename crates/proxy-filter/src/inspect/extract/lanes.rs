//! Eight bytes at once.

/// The highest bit of each byte of a word that is `b`.
#[inline]
pub(super) fn equal(word: u64, b: u8) -> u64 {
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    let zeros = word ^ u64::from_le_bytes([b; 8]);
    !(((zeros & LOW) + LOW) | zeros) & !LOW
}

/// How many bytes stand before the first that is marked.
#[inline]
pub(super) fn before(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks(bytes in proptest::collection::vec(36u8..40, 8), high in 0u8..2) {
            let bytes: Vec<u8> = bytes.iter().map(|b| b ^ high << 7).collect();
            let word = u64::from_le_bytes(*bytes.first_chunk().expect("eight"));
            let marks = equal(word, b'%').to_le_bytes();
            for (mark, b) in marks.iter().zip(&bytes) {
                prop_assert_eq!(*mark, if *b == b'%' { 0x80 } else { 0 });
            }
            let first = bytes.iter().position(|b| *b == b'%').unwrap_or(8);
            prop_assert_eq!(before(equal(word, b'%')), first);
        }
    }
}
