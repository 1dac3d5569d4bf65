//! Reads a value as the path of a file: how far it climbs.
//!
//! A step up is two dots or more before a slash of either kind. Servers and filters that strip or
//! cut at some sign take one step where that sign stands between (`..;/`, `..?/`, a control).

use super::{Signal, Signals};

/// What a value is as a path.
pub(super) fn read(text: &[u8]) -> Signals {
    let mut signals = Signals::default();
    let at = |i: usize| text.get(i).copied().unwrap_or(0);
    let (mut doubles, mut singles, mut triples, mut doubled_slashes) = (0, 0, 0, 0);
    let mut end = 0;
    let mut path = Path::default();
    let mut climbs = false;
    let mut steps = 0;
    for start in memchr::memchr_iter(b'.', text) {
        if start < end {
            continue;
        }
        let length = text[start..].iter().take_while(|&&b| b == b'.').count();
        end = start + length;
        let before = if start == 0 { 0 } else { text[start - 1] };
        let after = at(end);
        let slash = matches!(after, b'/' | b'\\');
        if length == 1 {
            singles += usize::from(before == b'/' && after == b'/');
            continue;
        }
        doubles += length / 2;
        triples += usize::from(length > 2 && before == b'/');
        let is_step = slash
            || is_ignored(after) && matches!(at(end + 1), b'/' | b'\\')
            || end == text.len() && matches!(before, b'/' | b'\\');
        if is_step && !before.is_ascii_alphanumeric() && before != b')' {
            steps += 1;
            // Several paths in a text are not one, and what stands before a path is no part of it:
            // `href=../x`, `[a](../x)`, `file:../x`.
            if let Some(last) = text[path.end..start].iter().rposition(|&b| is_between(b)) {
                climbs |= path.climbs(text);
                path = Path { start: path.end + last + 1, ..Path::default() };
            }
            path.steps += 1;
            path.first.get_or_insert(start);
            path.end = text.len().min(end + 1 + usize::from(!slash));
            doubled_slashes += usize::from(at(end + 1) == b'/');
        }
    }
    if climbs || path.climbs(text) {
        signals.add(Signal::PathClimb);
    } else if steps > 0 {
        signals.add(Signal::PathStep);
    }
    if singles >= 3 || triples >= 2 || doubled_slashes >= 2 || doubles >= 4 && is_dotted(text) {
        signals.add(Signal::PathConfusion);
    }
    signals
}

/// Whether a member is called as attributes of elements are that load or link.
pub(super) fn names_link(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 6] = [b"href", b"src", b"srcset", b"poster", b"action", b"xlink:href"];
    NAMES.iter().any(|own| own.eq_ignore_ascii_case(name)) || name.starts_with(b"data-")
}

/// What is left of the signals of a path where it may be the link of a page: a few steps up to
/// where pages keep what they load, or to nothing.
pub(super) fn read_link(text: &[u8], signals: Signals) -> Signals {
    const ASSETS: [&[u8]; 20] = [
        b"html", b"htm", b"css", b"js", b"mjs", b"map", b"png", b"jpg", b"jpeg", b"gif", b"svg",
        b"webp", b"avif", b"ico", b"woff", b"woff2", b"ttf", b"mp4", b"webm", b"pdf",
    ];
    let steps = text.chunks(3).take_while(|step| *step == b"../").count();
    let rest = &text[steps * 3..];
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/');
    let ending = memchr::memrchr(b'.', rest).map_or(&b""[..], |dot| &rest[dot + 1..]);
    let is_link = (1..=6).contains(&steps)
        && rest.len() < 200
        && rest.iter().all(is_name)
        && (rest.is_empty() || ASSETS.contains(&ending))
        && memchr::memmem::find(rest, b"..").is_none();
    if !is_link {
        return signals;
    }
    let mut link = Signals::default();
    link.add(Signal::PathStep);
    if signals.has(Signal::PathConfusion) {
        link.add(Signal::PathConfusion);
    }
    link
}

/// A path in a text, and its steps up.
#[derive(Default)]
struct Path {
    start: usize,
    /// Where its last step up ends.
    end: usize,
    /// Where its first one begins.
    first: Option<usize>,
    steps: usize,
}

impl Path {
    /// Whether it climbs: pages link to `../css/x` and, from a directory, to `a/b/../c`.
    fn climbs(&self, text: &[u8]) -> bool {
        let Some(first) = self.first else { return false };
        let mut directories = &text[self.start..first];
        // `./../x` is `../x`.
        while let [b'.', b'/' | b'\\', rest @ ..] = directories {
            directories = rest;
        }
        // Where the value begins with the path, it is all of it.
        let begins = self.start == 0 && first - self.start < 3;
        self.steps >= 3
            || self.steps == 2
                && (begins || !directories.is_empty() && leaves(directories, self.steps))
    }
}

/// Whether a byte stands between paths.
fn is_between(b: u8) -> bool {
    b.is_ascii_whitespace()
        || matches!(b, b'"' | b'\'' | b'`' | b'(' | b')' | b'<' | b'>' | b',' | b'=')
        || matches!(b, b':' | b'[' | b']' | b'{' | b'}')
}

/// Whether a sign between the dots and the slash of a step is left out, or ends a name, for some.
fn is_ignored(b: u8) -> bool {
    matches!(b, b';' | b'?' | b'#' | 1..=0x1F)
}

/// Whether so many steps up lead out of the directories that stand before them, or from the root
/// back to it.
fn leaves(directories: &[u8], steps: usize) -> bool {
    if directories.len() > 200 || directories.iter().any(u8::is_ascii_whitespace) {
        return false;
    }
    let is_name = |name: &&[u8]| !matches!(name, [] | [b'.']);
    let depth = directories.split(|b| matches!(b, b'/' | b'\\')).filter(is_name).count();
    steps > depth || matches!(directories.first(), Some(b'/' | b'\\'))
}

/// A run of dots longer than any name has, from the start or after a slash, and something else.
fn is_dotted(text: &[u8]) -> bool {
    let dots = longest_run(text, |b| b == b'.');
    let mixed = longest_run(text, |b| matches!(b, b'.' | b'/' | b'\\'));
    dots >= 8 && matches!(text[0], b'/' | b'.' | b'\\') && mixed != text.len()
}

fn longest_run(text: &[u8], is: impl Fn(u8) -> bool) -> usize {
    let (mut longest, mut run) = (0, 0);
    for &b in text {
        run = if is(b) { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::detect::tests::table;

    /// Where a NUL ends the text, or follows dots, nothing is read beyond.
    #[test]
    fn a_nul_is_no_end() {
        for text in ["/..\0", "/../\0..", "/..\0\0/..", "/../..\0", "/..", "\0/..\0/..\0é/.."] {
            read(text.as_bytes());
        }
    }

    #[test]
    fn climbing() {
        table(
            Signal::PathClimb,
            &[
                "../../etc/passwd",
                "..\\..\\boot.ini",
                "/../../x",
                "a/../../../x",
                "..;/..;/x",
                "..?/..?/x",
                "a/../../x",
                "/a/b/../../x",
                "..;\\..;\\x",
                "./../../x",
                "file:../../../x",
                "a=/../../x",
            ],
            &[
                "../css/a.css",
                "a/b/../c",
                "a/b/../../c",
                "[a](../a) [b](../b) [c](../c)",
                "![a](../../b.png)",
                "wait... what../",
                "and so on...",
                "1../2../3",
                "file:../../packages/ui",
                "link:../../x",
                "from './../../utils'",
                "[a](./../../README.md)",
                "href=../../x",
                "{a: ../../x}",
            ],
        );
        for (text, is_link) in [
            ("../../std/index.html", true),
            ("../../", true),
            ("../../static/app.1f2e.js", true),
            ("../../etc/passwd", false),
            ("../../x/../../y.html", false),
            ("../../x.html\0", false),
            ("../../../../../../../x.html", false),
            ("../../config.php", false),
        ] {
            let signals = read(text.as_bytes());
            assert!(signals.has(Signal::PathClimb), "{text}");
            let left = read_link(text.as_bytes(), signals);
            assert_eq!(!left.has(Signal::PathClimb), is_link, "{text}");
        }
        table(
            Signal::PathConfusion,
            &["/..../..../..../x", "/............/x", "....//....//x", "/.//././/./x/./y"],
            &["loading........", "........", "a ... b ... c", "see /... for more"],
        );
    }
}
