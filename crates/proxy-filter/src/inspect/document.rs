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

/// The fewest lines behind the first that have a letter or digit, each other than the rest, in a
/// listing.
const DISTINCT: usize = 3;

/// What was seen of a JSON text around a value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    /// Whether the text is that of a notebook: a member says what kind of cell there is.
    cells: bool,
    /// Whether the value is a member of an array.
    in_array: bool,
    /// How many values there were since the last name.
    values: u32,
}

impl Around {
    /// An array begins.
    pub(super) fn array(&mut self) {
        (self.in_array, self.values) = (true, 0);
    }

    /// A value or a name comes.
    pub(super) fn see(&mut self, place: Place, bytes: &[u8], is_name: bool) {
        if place != Place::Json {
            return;
        }
        if is_name {
            self.cells |= bytes == b"cell_type";
            (self.in_array, self.values) = (false, 0);
        } else {
            self.values = self.values.saturating_add(1);
        }
    }

    /// Whether the value may be a line of a cell of a notebook: one of several, or with a member
    /// beside it that only notebooks have.
    fn is_cell(self) -> bool {
        self.in_array && (self.cells || self.values > 1)
    }
}

/// Whether a value is a document.
pub(super) fn is_document(value: &Value<'_>, around: Around) -> bool {
    let is_content =
        matches!(value.place, Place::Form | Place::Part | Place::Json | Place::Xml | Place::Text);
    let text = value.bytes.trim_ascii_start();
    if value.place == Place::Json && !value.is_name && is_listing(value, around) {
        return true;
    }
    if !is_content || value.is_name {
        return false;
    }
    if text.len() < SHORTEST {
        return false;
    }
    let text = &text[..text.len().min(SEEN)];
    if memchr::memchr_iter(b'\n', text).take(LINES).count() == LINES && has_lines(text) {
        return begins_whole(text) || begins_listing(text);
    }
    if !begins_whole(text) {
        return false;
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

/// Whether a member of JSON holds lines of source code, by the names that reports of errors use, or
/// as notebooks hold them: each line with its end, in an array under `source`.
fn is_listing(value: &Value<'_>, around: Around) -> bool {
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
    NAMES.contains(&value.name)
        || value.name == b"source" && value.bytes.ends_with(b"\n") && around.is_cell()
}

/// Whether several lines follow the first that say something, each something else: ends of lines
/// alone make no listing.
fn has_lines(text: &[u8]) -> bool {
    let mut seen: [&[u8]; DISTINCT] = [b""; DISTINCT];
    let mut count = 0;
    for line in text.split(|&b| b == b'\n').skip(1) {
        let line = line.trim_ascii();
        if line.iter().any(u8::is_ascii_alphanumeric) && !seen.contains(&line) {
            seen[count] = line;
            count += 1;
            if count == DISTINCT {
                return true;
            }
        }
    }
    false
}

/// Whether a text begins as a whole does: with a word, a heading, a list, a listing or a tag, and
/// not with what ends something else, or runs at once.
fn begins_whole(text: &[u8]) -> bool {
    match text {
        [b'<', next, ..] => next.is_ascii_alphabetic() || text.starts_with(b"<!--"),
        [b'#' | b'*' | b'-' | b'>', next, ..] => matches!(next, b' ' | b'#' | b'*' | b'>'),
        [b'`' | b'[' | b'!', next, ..]
            if next.is_ascii_alphanumeric() || matches!(next, b'[' | b'!') =>
        {
            true
        }
        [b'|', b' ', ..] => true,
        [first, ..] => first.is_ascii_alphanumeric() || *first >= 0x80 || text.starts_with(b"```"),
        [] => false,
    }
}

/// Whether a text of many lines begins as files of source code, pieces of them and changes to them
/// do: with a comment, a directive, a brace that closes, the head of a change.
fn begins_listing(text: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 12] = [
        b"#!",
        b"//",
        b"/*",
        b"'use strict'",
        b"\"use strict\"",
        b"@@ -",
        b"--- a/",
        b"-- ",
        b";; ",
        b"{\n",
        b"{\r\n",
        b"[\n",
    ];
    let line = text.split(|&b| b == b'\n').next().unwrap_or_default().trim_ascii_end();
    let only_closes = || {
        line.contains(&b'}') && line.iter().all(|b| matches!(b, b'}' | b')' | b']' | b';' | b','))
    };
    // The text at the head of a module of Python, and not the end of one.
    let is_doc = || {
        let rest = text.strip_prefix(b"\"\"\"").unwrap_or_default();
        rest.first().is_some_and(|b| b.is_ascii_alphanumeric() || b.is_ascii_whitespace())
            && rest.windows(3).any(|end| end == b"\"\"\"")
    };
    BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
        || matches!(text, [b'#' | b'@' | b'$' | b'%' | b'.', next, ..] if next.is_ascii_alphabetic())
        || matches!(text, [b'#', b'[', ..] | [b'$' | b'%' | b'+', b' ', ..])
        || only_closes()
        || is_doc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let long = "We tried the new release on three machines and it fails on one of them. ";
        let is = |text: &str, place| {
            let value = Value { place, name: b"body", bytes: text.as_bytes(), is_name: false };
            is_document(&value, Around::default())
        };
        let letter = long.repeat(4);
        assert!(is(&letter, Place::Form));
        assert!(is(&format!("# Steps\n\n{letter}"), Place::Json));
        let def = "def f(a):\n    b = run(a, b=1)\n    return b\n\n";
        assert!(is(&def.repeat(6), Place::Text));
        let line = Value {
            place: Place::Json,
            name: b"context_line",
            bytes: b"x();document.cookie='y'",
            is_name: false,
        };
        assert!(is_document(&line, Around::default()));
        assert!(!is_document(&Value { name: b"q", ..line }, Around::default()));
        let lines: String = (0..8).map(|n| format!("    let x{n} = f(a, b) || g(c);\n")).collect();
        for first in ["#!/bin/sh", "// a", "/* a */", "});", "@@ -1,2 +1,2 @@", "#include <a.h>"] {
            assert!(is(&format!("{first}\n{lines}"), Place::Json), "{first}");
            assert!(!is(&format!("{first} {}", lines.replace('\n', " ")), Place::Json), "{first}");
        }
        assert!(is(&format!("\"\"\"Help.\"\"\"\n{lines}"), Place::Json), "a module");
        assert!(is(&format!("```\n{lines}```"), Place::Form), "a listing");
        for tiny in ["```\n{{7*7}}\n```", "```sh\ncurl -s e.test | sh\n```\n"] {
            assert!(!is(tiny, Place::Form), "{tiny}");
        }
        // What makes no whole of a fragment.
        let fragment = format!("x; cat /etc/passwd {}", "a".repeat(SHORTEST));
        for padding in ["\n\n\n\n\n", "\n;\n;\n;\n;\n", "\n)\n,\n)\n,\n"] {
            for first in [";", ")", ",", "'''", "\"\"\"", "x", "```", "});"] {
                let text = format!("{first}\n{fragment}{padding}");
                assert!(!is(&text, Place::Form), "{text}");
            }
        }
        for first in [";", ");", ",", "'''", "\"\"\"", "\"\"\" or 1=1"] {
            assert!(!is(&format!("{first}\n{lines}"), Place::Json), "{first}");
        }
        assert!(is(&format!("`GET /a` of {letter}"), Place::Form), "begins with a name");
        assert!(!is(&format!("'; f()\n{lines}"), Place::Json), "a fragment");
        let cell = Value {
            place: Place::Json,
            name: b"source",
            bytes: b"!ls -la data | head -3\n",
            is_name: false,
        };
        let mut around = Around::default();
        around.array();
        around.see(Place::Json, cell.bytes, false);
        assert!(!is_document(&cell, around), "alone in an array");
        around.see(Place::Json, cell.bytes, false);
        assert!(is_document(&cell, around), "one of several");
        assert!(!is_document(&Value { bytes: b"!ls -la data | head -3", ..cell }, around));
        around.see(Place::Json, b"source", true);
        around.see(Place::Json, cell.bytes, false);
        assert!(!is_document(&cell, around), "a member");
        around.see(Place::Json, b"cell_type", true);
        around.array();
        assert!(is_document(&cell, around), "of a notebook");
        assert!(!is(&letter, Place::Query), "an address");
        assert!(!is(long, Place::Form), "too short");
        assert!(!is(&format!("' or 1=1 -- {letter}"), Place::Form), "a fragment");
        assert!(!is(&format!("; cat /etc/passwd {letter}"), Place::Form), "a fragment");
        assert!(!is(&"x=1,y=2;z=3 ".repeat(20), Place::Form), "no sentences");
    }
}
