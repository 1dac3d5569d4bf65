//! What is plainly no SQL: nearly all values begin with two words, and nearly all quotes stand before
//! one.
//!
//! This says only what the reader of expressions would say after its first tokens; a test holds the
//! two against each other.

use super::token::{is_blank, is_name, is_name_start};
use super::words::word;
use crate::inspect::steps::steps;

/// Whether a value begins with two words that are no keywords: a word does not follow a word.
pub(super) fn begins(text: &[u8]) -> bool {
    let Some(first) = Begin::of(text) else { return false };
    if !text.get(first.end).is_some_and(|&b| is_blank(b)) {
        return false;
    }
    Begin::of(&text[first.end..]).is_some()
}

/// Whether what follows the end of a string begins with a word that is no keyword.
pub(super) fn goes_on(text: &[u8]) -> bool {
    Begin::of(text).is_some_and(|word| !matches!(text.get(word.end), Some(b'\'' | b'"')))
}

/// The word, no keyword, at the beginning of a text.
struct Begin {
    end: usize,
}

impl Begin {
    fn of(text: &[u8]) -> Option<Self> {
        let start = text.iter().take(16).position(|&b| !is_blank(b))?;
        if !is_name_start(text[start]) {
            return None;
        }
        let near = &text[start..text.len().min(start + 64)];
        let length = near.iter().position(|&b| !is_name(b)).unwrap_or(near.len());
        steps(start + length);
        if length == 64 {
            return None;
        }
        word(&near[..length]).is_none().then_some(Self { end: start + length })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Context, Reader, Signals};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        /// What is said to be no SQL is none to the reader either.
        #[test]
        fn as_the_reader(
            text in "( |it|s|x|n|or|and|union|select|from|order by|day|_utf8|is|in|like|not|user|as|at|1|0x|\\(|\\)|'|\"|`|=|\\*|,|\\.|--|#|/\\*|é|;|@|\\$){0,9}"
        ) {
            let text = text.as_bytes();
            let read = |context| Reader::new(text, context).read();
            if begins(text) {
                prop_assert_eq!(read(Context::Bare), Signals::default());
            }
            if goes_on(text) {
                for plain in [false, true] {
                    prop_assert_eq!(read(Context::Quoted { plain }), Signals::default());
                }
            }
        }
    }

    #[test]
    fn prose() {
        for (text, is) in [
            ("the quick fox", true),
            ("  Item number 7", true),
            ("Item", false),
            ("Item, number", false),
            ("select a", false),
            ("a union", false),
            ("x (y)", false),
        ] {
            assert_eq!(begins(text.as_bytes()), is, "{text}");
        }
        assert!(goes_on(b"s a fine day"));
        assert!(!goes_on(b" or 1=1"));
        assert!(!goes_on(b"n'x'"));
    }
}
