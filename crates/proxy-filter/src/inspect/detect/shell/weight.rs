//! How much speaks for a command, where no single sign is enough.
//!
//! What is injected into a command line is short: an operand or the end of one, a separator, the
//! name of a program, perhaps arguments, perhaps what cuts off the rest. Each of these may stand in
//! a list, a title or a sentence as well, but rarely several of them do. So they are counted.

use super::commands::Known;
use super::is_prose;
use super::word::{After, Word};

/// From so many points on it is a command.
const ENOUGH: i32 = 5;

/// A longer value is no fragment, in bytes.
const LONGEST: usize = 160;

/// Whether the word behind the separator at `at` is a command.
pub(super) fn is_command(text: &[u8], at: usize, word: &Word, known: Known) -> bool {
    if text.len() > LONGEST || text.get(word.end) == Some(&b',') {
        return false;
    }
    let (before, behind) = (&text[..at], &text[word.end..]);
    let separator = text[at];
    let touches = text.get(at + 1).is_some_and(u8::is_ascii_alphabetic);
    let name = match known {
        Known::Command => 3,
        Known::Tool | Known::Short => 2,
        Known::Prose => 1,
    };
    let follows = match word.after {
        After::Name => return false,
        After::Option | After::Path | After::Expansion => 3,
        After::Separator if known == Known::Prose => 1,
        After::Separator => 2,
        After::End => i32::from(known != Known::Prose || touches),
        After::Argument => argument(word.name(), behind, known),
    };
    name + follows
        + stands(text, at)
        + prefix(before, separator, text, known)
        + tail(behind, word.after)
        >= ENOUGH
}

/// What the separator says by itself.
fn stands(text: &[u8], at: usize) -> i32 {
    let rest = &text[at + 1..];
    match text[at] {
        b'$' | b'<' | b'>' => 2 * i32::from(memchr::memchr(b')', rest).is_some()),
        b'`' => 2 * i32::from(memchr::memchr(b'`', rest).is_some()),
        b'&' | b'|' if matches!(rest.first(), Some(b'&' | b'|')) => 2,
        // The spaces that a group needs.
        b';' | b'|' | b'&' if rest.starts_with(b"{ ") || rest.starts_with(b" { ") => 2,
        b';' | b'|' | b'\n' => 1,
        _ => 0,
    }
}

/// What stands before the separator: nothing, the end of a string or group, an operand - or a
/// sentence, or the entries of a list.
fn prefix(before: &[u8], separator: u8, text: &[u8], known: Known) -> i32 {
    let operand = before.trim_ascii_end();
    let is_spaced = operand.len() < before.len();
    if operand.iter().all(|b| matches!(b, b' ' | b'"' | b'\'' | b')')) {
        return 2;
    }
    if is_prose(before) {
        return -3;
    }
    let ends = |bytes: &[u8]| operand.last().is_some_and(|b| bytes.contains(b));
    let is_list = separator == b'|'
        && memchr::memchr_iter(b'|', text).nth(1).is_some()
        && (known == Known::Prose || memchr::memchr(b' ', text).is_none());
    if is_list && !ends(b"'\")|&;") {
        return -2;
    }
    if separator == b'\n' && memchr::memchr(b' ', operand).is_some() {
        return -2;
    }
    if ends(b"'\")") {
        return 2 - i32::from(is_spaced);
    }
    let is_word = |b: &u8| b.is_ascii_alphabetic() || *b == b' ' || *b == b'-' || *b >= 0x80;
    match operand.iter().all(is_word) {
        true => -i32::from(!is_spaced),
        false => 1,
    }
}

/// What the words behind the name say: whether they are what such a command takes.
pub(super) fn argument(name: &[u8], behind: &[u8], known: Known) -> i32 {
    let words = || behind.split(|b| matches!(b, b' ' | b'\t' | b'+')).filter(|w| !w.is_empty());
    let Some(first) = words().next() else { return 0 };
    if takes(name, first) {
        return 2;
    }
    // `Apt 5B`, `Vol 3`, `#5`: numbers of homes, volumes and kinds, which stand behind words.
    if is_number(first) {
        return 0;
    }
    // A comment.
    if first[0] == b'#' {
        return 1;
    }
    let is_sign = |b: &u8| matches!(b, b'.' | b'/' | b':' | b'@' | b'\\' | b'*' | b'$');
    let near = &first[..first.len().min(64)];
    let inner = near.strip_suffix(b".").unwrap_or(near);
    let is_technical =
        inner.iter().any(is_sign) || known != Known::Prose && inner.iter().any(u8::is_ascii_digit);
    let is_word = |w: &[u8]| w.len() > 1 && w.iter().all(u8::is_ascii_alphabetic);
    match words().take(8).filter(|w| is_word(w)).count() {
        4.. => -2,
        2.. if !is_technical => -1,
        _ => i32::from(is_technical),
    }
}

/// Whether a word is a bare number, perhaps with a letter: `6`, `#5`, `12-14`, `5B,`.
fn is_number(word: &[u8]) -> bool {
    let word = word.strip_prefix(b"#").unwrap_or(word);
    let end = word.iter().rposition(|b| !matches!(b, b',' | b'.' | b')' | b'!' | b'?'));
    let word = &word[..end.map_or(0, |end| end + 1)];
    let letters = word.iter().filter(|b| b.is_ascii_alphabetic()).count();
    word.iter().any(u8::is_ascii_digit)
        && word.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        && letters <= 1
}

/// Whether a command is known to take such a first argument.
fn takes(name: &[u8], first: &[u8]) -> bool {
    let end = first.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(first.len());
    let first = &first[..end];
    let is = |words: &[&[u8]]| words.iter().any(|word| first.eq_ignore_ascii_case(word));
    match name {
        b"net" => is(&[
            b"user",
            b"users",
            b"view",
            b"localgroup",
            b"group",
            b"share",
            b"use",
            b"start",
            b"stop",
            b"accounts",
            b"session",
            b"time",
            b"config",
        ]),
        b"git" => is(&[b"status", b"log", b"clone", b"config", b"branch", b"remote"]),
        b"docker" | b"kubectl" => is(&[b"ps", b"images", b"run", b"exec", b"get", b"info"]),
        b"ip" => is(&[b"a", b"addr", b"address", b"link", b"route", b"r", b"neigh"]),
        b"route" | b"arp" => is(&[b"print", b"add", b"delete"]),
        b"sc" => is(&[b"query", b"create", b"config", b"start", b"stop"]),
        b"reg" => is(&[b"query", b"add", b"delete", b"save", b"export"]),
        b"su" => is(&[b"root"]),
        b"timeout" | b"sleep" | b"kill" | b"usleep" | b"expr" | b"seq" => {
            first.iter().all(u8::is_ascii_digit)
        }
        b"apt" | b"yum" | b"dnf" | b"pip" | b"brew" => is(&[b"install", b"update", b"list"]),
        b"mail" | b"write" | b"finger" => is(&[b"root"]),
        b"which" | b"whereis" | b"where" => known_program(first),
        _ => false,
    }
}

fn known_program(name: &[u8]) -> bool {
    super::commands::known(&name.to_ascii_lowercase()).is_some_and(|known| known != Known::Prose)
}

/// Whether the value ends with what cuts off or closes the rest.
fn tail(behind: &[u8], after: After) -> i32 {
    let rest = behind.trim_ascii_end();
    let cuts = matches!(rest.last(), Some(b';' | b'|' | b'&' | b'#' | b'\'' | b'"' | b')' | b'`'))
        || rest.ends_with(b"--");
    let again = |separator| memchr::memchr2(separator, b';', rest).is_some();
    i32::from(cuts || after != After::Separator && (again(b'|') || again(b'&')))
}
