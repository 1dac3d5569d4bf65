//! Paths: prefixes of whole segments, and the normal form.
//!
//! Routes and rules see paths that hygiene has normalised already: dot segments removed, escapes of
//! unreserved characters decoded, the digits of the other escapes in upper case. What a
//! configuration says about paths is held against that form, and so is what a rewrite makes. The
//! form itself is [`PathPolicy`]'s.

use std::borrow::Cow;

use crate::target::{self, PathPolicy};

/// Why a path is not in normal form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathFault {
    /// It does not begin with a slash.
    #[error("it does not begin with `/`")]
    NotAbsolute,
    /// A character that ends a path or may not stand in one.
    #[error("{0:?} may not stand in a path; escape it with `%`")]
    Character(char),
    /// It has no normal form.
    #[error("{}", explain(*.0))]
    None(target::PathFault),
    /// The normal form is another path: dot segments, or escapes that are not needed.
    #[error("its normal form is `{0}`")]
    Other(String),
}

fn explain(fault: target::PathFault) -> &'static str {
    match fault {
        target::PathFault::Escape => "a `%` is not followed by two hexadecimal digits",
        target::PathFault::Nul => "it has an escaped NUL",
        target::PathFault::Backslash => "it has a backslash",
        target::PathFault::EncodedSlash => "it has an escaped slash",
        target::PathFault::AboveRoot => "it leads above the root",
    }
}

/// Hygiene's normal form, but for what its settings decide: empty segments and escaped slashes.
const NORMAL: PathPolicy = PathPolicy { merge_slashes: false, allow_encoded_slash: true };

/// Checks that a path is in normal form. Empty segments and escaped slashes pass: hygiene decides
/// about them.
///
/// # Errors
///
/// What keeps it from being so.
pub fn check(path: &str) -> Result<(), PathFault> {
    let normal = normal(path)?;
    if normal == path { Ok(()) } else { Err(PathFault::Other(normal.into_owned())) }
}

/// A path of a configuration, checked to be ASCII and in normal form, with the digits of its
/// escapes in upper case.
///
/// # Errors
///
/// What keeps it from being so.
pub fn configured(path: &str) -> Result<String, PathFault> {
    if let Some(character) = path.chars().find(|c| !c.is_ascii()) {
        return Err(PathFault::Character(character));
    }
    let normal = normal(path)?.into_owned();
    if normal.eq_ignore_ascii_case(path) { Ok(normal) } else { Err(PathFault::Other(normal)) }
}

fn normal(path: &str) -> Result<Cow<'_, str>, PathFault> {
    if !path.starts_with('/') {
        return Err(PathFault::NotAbsolute);
    }
    let is_foreign = |c: &char| matches!(c, '?' | '#' | ' ') || c.is_ascii_control();
    if let Some(character) = path.chars().find(is_foreign) {
        return Err(PathFault::Character(character));
    }
    NORMAL.normalise(path).map_err(PathFault::None)
}

/// Whether a path has the escape of a slash.
pub fn has_escaped_slash(path: &str) -> bool {
    path.as_bytes().windows(3).any(|window| window.eq_ignore_ascii_case(b"%2F"))
}

/// The byte that the escape at `at` stands for.
pub fn escaped_at(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let high = digit(bytes.get(at + 1)?)?;
    let low = digit(bytes.get(at + 2)?)?;
    u8::try_from(high * 16 + low).ok()
}

/// A prefix that matches whole segments, with regard to case.
///
/// A trailing slash says nothing: `/static/` and `/static` both take in `/static`, `/static/` and
/// `/static/a`, and not `/statics`. That `/static` itself is taken in keeps a route's access
/// rules from being passed by leaving the slash out. `/` takes in every path.
///
/// ```
/// use proxy_core::matching::path::Prefix;
///
/// let prefix: Prefix = "/static/".parse()?;
/// assert_eq!(prefix.tail("/static/a/b"), Some("/a/b"));
/// assert_eq!(prefix.tail("/static"), Some(""));
/// assert_eq!(prefix.tail("/statics"), None);
/// # Ok::<(), proxy_core::matching::path::PathFault>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    /// Without a trailing slash, so `/` is empty.
    text: Box<str>,
}

impl Prefix {
    /// What follows the prefix, where the path has it: nothing, or a slash and more.
    #[must_use]
    pub fn tail<'p>(&self, path: &'p str) -> Option<&'p str> {
        let tail = path.strip_prefix(&*self.text)?;
        (tail.is_empty() || tail.starts_with('/')).then_some(tail)
    }

    /// The prefix without a trailing slash; empty for `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl std::str::FromStr for Prefix {
    type Err = PathFault;

    fn from_str(text: &str) -> Result<Self, PathFault> {
        let text = configured(text)?;
        Ok(Self { text: text.strip_suffix('/').unwrap_or(&text).into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INTERFACE, "One path": prefixes match whole segments.
    #[test]
    fn prefixes_match_whole_segments() {
        let cases = [
            ("/a", "/a", Some("")),
            ("/a", "/a/", Some("/")),
            ("/a", "/a/b", Some("/b")),
            ("/a", "/ab", None),
            ("/a", "/a%2Fb", None),
            ("/a", "/A", None),
            ("/a", "/", None),
            ("/a/", "/a", Some("")),
            ("/a/", "/a/b", Some("/b")),
            ("/a/", "/a//b", Some("//b")),
            ("/a/", "/ab", None),
            ("/a/b", "/a/b/c", Some("/c")),
            ("/a/b", "/a/bc", None),
            ("/a%e2", "/a%E2/b", Some("/b")),
            ("/", "/", Some("/")),
            ("/", "/a", Some("/a")),
            ("/", "*", None),
        ];
        for (prefix, path, tail) in cases {
            let prefix: Prefix = prefix.parse().unwrap();
            assert_eq!(prefix.tail(path), tail, "{prefix:?} {path}");
        }
    }

    /// INTERFACE, "One path": dot segments removed, unreserved escapes decoded, no NUL, no
    /// backslash.
    #[test]
    fn normal_form() {
        let cases = [
            ("/", Ok(())),
            ("/a/b.c/...", Ok(())),
            ("/a//b/", Ok(())),
            ("/a%2Fb%20c", Ok(())),
            ("/.well-known/x", Ok(())),
            ("", Err(PathFault::NotAbsolute)),
            ("a/b", Err(PathFault::NotAbsolute)),
            ("*", Err(PathFault::NotAbsolute)),
            ("/a/./b", Err(PathFault::Other("/a/b".into()))),
            ("/a/..", Err(PathFault::Other("/".into()))),
            ("/a/%2e%2E/b", Err(PathFault::Other("/b".into()))),
            ("/%41%7e", Err(PathFault::Other("/A~".into()))),
            ("/a%e2", Err(PathFault::Other("/a%E2".into()))),
            ("/..", Err(PathFault::None(target::PathFault::AboveRoot))),
            ("/%4", Err(PathFault::None(target::PathFault::Escape))),
            ("/%g0", Err(PathFault::None(target::PathFault::Escape))),
            ("/%+1", Err(PathFault::None(target::PathFault::Escape))),
            ("/a%", Err(PathFault::None(target::PathFault::Escape))),
            ("/%00", Err(PathFault::None(target::PathFault::Nul))),
            ("/a\\b", Err(PathFault::None(target::PathFault::Backslash))),
            ("/a%5cb", Err(PathFault::None(target::PathFault::Backslash))),
            ("/a?b", Err(PathFault::Character('?'))),
            ("/a#b", Err(PathFault::Character('#'))),
            ("/a b", Err(PathFault::Character(' '))),
            ("/a\nb", Err(PathFault::Character('\n'))),
            ("/a\u{7f}", Err(PathFault::Character('\u{7f}'))),
        ];
        for (path, expected) in cases {
            assert_eq!(check(path), expected, "{path:?}");
        }
    }

    #[test]
    fn configured_paths_are_ascii_with_escapes_in_upper_case() {
        assert_eq!(configured("/a%e2%82%acb/aa").as_deref(), Ok("/a%E2%82%ACb/aa"));
        assert_eq!(configured("/a/./b"), Err(PathFault::Other("/a/b".into())));
        assert_eq!(configured("/ü"), Err(PathFault::Character('ü')));
    }
}
