//! Where in a text a command may begin: at separators, line breaks, redirections and expansions.

use crate::inspect::kinds::Kinds;

/// Texts that are shorter are looked through byte by byte.
const SHORT: usize = 48;

/// Finds the places one by one.
pub(super) struct Starts<'a> {
    text: &'a [u8],
    /// The next byte of each group, if it is known and there is one; the end of the text where
    /// there is none.
    next: Option<[usize; 3]>,
}

/// Bytes that are looked for together, by the bits of their kinds.
const GROUPS: [(u32, [u8; 3]); 3] = [
    (Kinds::SEPARATOR, [b';', b'|', b'&']),
    (Kinds::BREAK | Kinds::ANGLE, [b'\n', b'<', b'>']),
    (Kinds::EXPANSION, [b'$', b'`', b'{']),
];

impl<'a> Starts<'a> {
    /// The places of a text that has these kinds of bytes.
    pub(super) fn of(text: &'a [u8], kinds: Kinds) -> Self {
        let next = (text.len() >= SHORT).then(|| {
            GROUPS.map(
                |(kind, group)| if kinds.has(kind) { find(text, 0, group) } else { text.len() },
            )
        });
        Self { text, next }
    }

    /// The first place from `from` on, which is never less than before.
    pub(super) fn next(&mut self, from: usize) -> Option<usize> {
        let Some(next) = &mut self.next else {
            let is_start = |&b: &u8| Kinds::is(b, Kinds::SHELL);
            return self.text[from..].iter().position(is_start).map(|step| from + step);
        };
        for (next, (_, group)) in next.iter_mut().zip(GROUPS) {
            if *next < from {
                *next = find(self.text, from, group);
            }
        }
        let first = next.iter().copied().fold(self.text.len(), usize::min);
        (first < self.text.len()).then_some(first)
    }
}

fn find(text: &[u8], from: usize, [a, b, c]: [u8; 3]) -> usize {
    memchr::memchr3(a, b, c, &text[from..]).map_or(text.len(), |step| from + step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_are_found(text in "[a ;|&\n<>$`{x(]{0,120}", skip in 1usize..4) {
            let text = text.as_bytes();
            let mut starts = Starts::of(text, Kinds::of(text));
            let (mut at, mut found) = (0, Vec::new());
            while let Some(start) = starts.next(at) {
                found.push(start);
                at = text.len().min(start + skip);
            }
            let (mut at, mut expected) = (0, Vec::new());
            while let Some(step) = text[at..].iter().position(|&b| Kinds::is(b, Kinds::SHELL)) {
                expected.push(at + step);
                at = text.len().min(at + step + skip);
            }
            prop_assert_eq!(found, expected);
        }
    }
}
