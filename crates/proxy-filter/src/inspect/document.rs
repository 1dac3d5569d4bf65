//! Whether a value is a document: a text of some length that someone wrote, in which code is rather
//! quoted than injected.
//!
//! What is injected into a statement, a command line or a page is a fragment: it ends what stands
//! before it, and works by its position. A comment, an issue with a listing, a letter or a module of
//! source code is a whole: it begins with a word, has sentences or lines, and what it says of
//! queries and commands proves nothing. So rules that say no more than that code is there score
//! less in it (`quoted`).

use super::value::{Place, Value};

/// A value that is shorter is no document, in bytes.
const SHORTEST: usize = 160;

/// How much of a value is looked at, in bytes.
const SEEN: usize = 4096;

/// The fewest words that follow a word and a space, in a text.
const WORDS: usize = 10;

/// The fewest ends of lines, in a listing.
const LINES: usize = 4;

/// Whether a value is a document.
pub(super) fn is_document(value: &Value<'_>) -> bool {
    let is_content =
        matches!(value.place, Place::Form | Place::Part | Place::Json | Place::Xml | Place::Text);
    let text = value.bytes.trim_ascii_start();
    if value.place == Place::Json && is_listing(value.name) {
        return true;
    }
    if !is_content || value.is_name || text.len() < SHORTEST || !begins_whole(text) {
        return false;
    }
    let text = &text[..text.len().min(SEEN)];
    if memchr::memchr_iter(b'\n', text).take(LINES).count() == LINES {
        return true;
    }
    let mut words = 0;
    let mut after_word = false;
    for word in text.split(u8::is_ascii_whitespace) {
        let word = word.strip_suffix(b",").unwrap_or(word);
        let word = word.strip_suffix(b".").unwrap_or(word);
        let is_word = !word.is_empty()
            && word.iter().all(|&b| b.is_ascii_alphabetic() || b == b'\'' || b >= 0x80);
        words += usize::from(is_word && after_word);
        after_word = is_word;
    }
    words >= WORDS
}

/// Whether a member of JSON holds lines of source code, by the names that reports of errors use.
fn is_listing(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 7] = [
        b"context_line",
        b"pre_context",
        b"post_context",
        b"stacktrace",
        b"stack_trace",
        b"componentStack",
        // Of reports that browsers make of a content security policy.
        b"script-sample",
    ];
    NAMES.contains(&name)
}

/// Whether a text begins as a whole does: with a word, a heading, a list, a listing or a tag, and
/// not with what ends something else, or runs at once.
fn begins_whole(text: &[u8]) -> bool {
    match text {
        [b'<', next, ..] => next.is_ascii_alphabetic() || text.starts_with(b"<!--"),
        [b'#' | b'*' | b'-' | b'>', next, ..] => matches!(next, b' ' | b'#' | b'*' | b'>'),
        [first, ..] => first.is_ascii_alphanumeric() || *first >= 0x80 || text.starts_with(b"```"),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let long = "We tried the new release on three machines and it fails on one of them. ";
        let is = |text: &str, place| {
            is_document(&Value { place, name: b"body", bytes: text.as_bytes(), is_name: false })
        };
        let letter = long.repeat(4);
        assert!(is(&letter, Place::Form));
        assert!(is(&format!("# Steps\n\n{letter}"), Place::Json));
        assert!(is(&"def f(a):\n    return run(a, b=1)\n\n".repeat(6), Place::Text));
        let line = Value {
            place: Place::Json,
            name: b"context_line",
            bytes: b"x();document.cookie='y'",
            is_name: false,
        };
        assert!(is_document(&line));
        assert!(!is_document(&Value { name: b"q", ..line }));
        assert!(!is(&letter, Place::Query), "an address");
        assert!(!is(long, Place::Form), "too short");
        assert!(!is(&format!("' or 1=1 -- {letter}"), Place::Form), "a fragment");
        assert!(!is(&format!("; cat /etc/passwd {letter}"), Place::Form), "a fragment");
        assert!(!is(&"x=1,y=2;z=3 ".repeat(20), Place::Form), "no sentences");
    }
}
