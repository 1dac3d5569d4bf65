//! Patterns of file names (`/e??/p*swd`) that match a program or a secret file.

use crate::inspect::steps::steps;

/// What such patterns are after.
const TARGETS: &[&[u8]] = &[
    b"/etc/passwd",
    b"/etc/shadow",
    b"/etc/hosts",
    b"/etc/group",
    b"/etc/issue",
    b"/bin/cat",
    b"/bin/sh",
    b"/bin/bash",
    b"/bin/ls",
    b"/bin/uname",
    b"/usr/bin/uname",
    b"/bin/nc",
    b"/bin/id",
    b"/bin/rm",
    b"/bin/ps",
    b"/bin/wget",
    b"/bin/curl",
    b"/bin/ping",
    b"/usr/bin/id",
    b"/usr/bin/whoami",
    b"/usr/bin/wget",
    b"/usr/bin/curl",
    b"/usr/bin/python",
    b"/usr/bin/perl",
    b"/usr/bin/head",
    b"/usr/bin/tail",
    b"/usr/bin/who",
    b"/usr/bin/nc",
    b"/usr/bin/cat",
    b"/usr/bin/php",
];

/// The most patterns of one value that are tried.
const TRIED: usize = 16;

/// The longest pattern.
const LONGEST: usize = 48;

/// Whether a value has a pattern that matches one of the targets and has letters of its own.
pub(super) fn names_a_target(text: &[u8]) -> bool {
    let Some(first) = text.iter().position(|b| matches!(b, b'?' | b'*' | b'[')) else {
        return false;
    };
    let start = text[..first].iter().rposition(|&b| is_end(b)).map_or(0, |at| at + 1);
    text[start..]
        .split(|&b| is_end(b))
        .filter(|token| is_pattern(token))
        .take(TRIED)
        .any(|token| TARGETS.iter().any(|target| matches(token, target)))
}

fn is_end(b: u8) -> bool {
    b <= b' '
        || matches!(
            b,
            b';' | b'|'
                | b'&'
                | b'<'
                | b'>'
                | b'('
                | b')'
                | b'"'
                | b'\''
                | b'`'
                | b','
                | b'+'
                | b'='
        )
}

fn is_pattern(token: &[u8]) -> bool {
    token.len() <= LONGEST
        && memchr::memchr(b'/', token).is_some()
        && token.iter().any(|b| matches!(b, b'?' | b'*' | b'['))
        && token.iter().filter(|b| b.is_ascii_alphabetic()).count() >= 2
}

/// Whether a pattern matches a name, as shells match: at most `LONGEST` times the name's length
/// steps. A pattern without a slash in front is taken from the root all the same.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let name = if pattern.first() == Some(&b'/') { name } else { &name[1..] };
    let (mut p, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while n < name.len() {
        steps(1);
        let step = match pattern.get(p) {
            Some(b'*') => {
                back = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some(b'?') => (name[n] != b'/').then_some(1),
            Some(b'[') => class(&pattern[p..], name[n]),
            // A backslash hides the letter behind it.
            Some(b'\\') => (pattern.get(p + 1) == Some(&name[n])).then_some(2),
            Some(b) => b.eq_ignore_ascii_case(&name[n]).then_some(1),
            None => None,
        };
        match (step, back) {
            (Some(length), _) => {
                p += length;
                n += 1;
            }
            (None, Some((after, from))) if name[from] != b'/' => {
                p = after;
                n = from + 1;
                back = Some((after, n));
            }
            _ => return false,
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// `[abc]`, `[a-z]`, `[!x]`: its length, if it matches.
fn class(pattern: &[u8], b: u8) -> Option<usize> {
    let end = pattern.iter().take(24).position(|&c| c == b']')?;
    let mut inside = &pattern[1..end];
    let negated = matches!(inside.first(), Some(b'!' | b'^'));
    if negated {
        inside = &inside[1..];
    }
    let mut found = false;
    for (i, &c) in inside.iter().enumerate() {
        let range = inside.get(i + 1) == Some(&b'-')
            && inside.get(i + 2).is_some_and(|&z| c <= b && b <= z);
        // A class that holds its own question mark is a disguise of any letter.
        found |= c == b || range || c == b'?';
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns() {
        for (text, expected) in [
            ("/e?c/p?sswd", true),
            ("/etc/pas[s]wd", true),
            ("/[e/////]tc/[p//]asswd", true),
            ("cat /e*/p*d", true),
            ("/b?n/c?t", true),
            ("/???/???", false),
            ("*/5 * * * *", false),
            ("/api/*/users", false),
            ("what? a/b", false),
        ] {
            assert_eq!(names_a_target(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_pattern_ends(pattern in "[/a-e?*\\[\\]\\\\!-]{0,48}") {
            names_a_target(pattern.as_bytes());
        }
    }
}
