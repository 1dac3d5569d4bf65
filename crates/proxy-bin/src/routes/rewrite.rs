//! The path on its way to the upstream: strip, then replace, then add.
//!
//! - `strip_prefix` takes whole segments off the front; a path without them stays as it is. What
//!   is left begins with exactly one slash: `/api` without `/api` is `/`, and so is `/api//`.
//! - `replace_path` replaces every match of an expression that is not anchored by itself.
//! - `add_prefix` is put in front, without its trailing slash: `/v2` before `/a` is `/v2/a`, before
//!   `/` it is `/v2/`.
//!
//! The result is what is forwarded, so it is in normal form again: slashes at the front become
//! one, and a replacement that leaves no slash at the front, makes a dot segment, an escaped slash
//! that the client did not send, or anything else that [`path::check`] refuses, is an error while
//! running. The request is then refused with 500 and reaches no upstream: the fault is the
//! configuration's. Stripping and adding alone never fail. The query stays as it is, and so does
//! the `*` of `OPTIONS *`.

use std::borrow::Cow;

use regex::Regex;

use super::error::Problems;
use super::matcher::Matcher;
use super::path::{self, PathFault, Prefix};
use super::spec::{ReplaceSpec, RewriteSpec};

/// Why a rewritten path cannot be forwarded: a 500, and nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RewriteError {
    /// The replacement made a path that is not in normal form.
    #[error("the rewritten path is not in normal form: {0}")]
    Fault(#[from] PathFault),
    /// The replacement made an escaped slash where the client sent none.
    #[error("the rewritten path has an escaped slash that the request did not have")]
    EscapedSlash,
}

/// A compiled rewrite. The default changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Rewrite {
    strip: Option<Prefix>,
    replace: Option<Replace>,
    /// Without a trailing slash.
    add: Option<Prefix>,
}

#[derive(Debug, Clone)]
struct Replace {
    pattern: Regex,
    with: Box<str>,
    /// Whether the operator wrote an escaped slash.
    may_escape_slash: bool,
}

impl Rewrite {
    pub(super) fn compile(
        spec: &RewriteSpec,
        matcher: &Matcher,
        problems: &mut Problems<'_>,
    ) -> Self {
        let strip = prefix("rewrite.strip_prefix", spec.strip_prefix.as_deref(), problems);
        if let Some(strip) = &strip
            && let Some(mut beginnings) = matcher.path().beginnings()
            && !beginnings
                .any(|known| strip.tail(known).is_some() || strip.as_str().starts_with(known))
        {
            problems.add(
                "rewrite.strip_prefix",
                format!("no path that this route matches begins with `{}`", strip.as_str()),
            );
        }
        let replace = spec.replace_path.as_ref().and_then(|spec| Replace::compile(spec, problems));
        let add = prefix("rewrite.add_prefix", spec.add_prefix.as_deref(), problems);
        Self { strip, replace, add }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.strip.is_none() && self.replace.is_none() && self.add.is_none()
    }

    /// The path to forward for a path in normal form. Allocates only where something is replaced
    /// or added.
    ///
    /// # Errors
    ///
    /// A replacement made a path that may not be forwarded; see the [module](self).
    pub fn apply<'p>(&self, path: &'p str) -> Result<Cow<'p, str>, RewriteError> {
        if self.is_empty() || !path.starts_with('/') {
            return Ok(Cow::Borrowed(path));
        }
        let mut made = Cow::Borrowed(path);
        if let Some(tail) = self.strip.as_ref().and_then(|strip| strip.tail(path)) {
            made = Cow::Borrowed(if tail.is_empty() { "/" } else { tail });
        }
        if let Some(replace) = &self.replace
            && let Cow::Owned(replaced) = replace.pattern.replace_all(&made, &*replace.with)
        {
            path::check(&replaced)?;
            if !replace.may_escape_slash
                && path::has_escaped_slash(&replaced)
                && !path::has_escaped_slash(&made)
            {
                return Err(RewriteError::EscapedSlash);
            }
            made = Cow::Owned(replaced);
        }
        made = one_slash(made);
        if let Some(add) = &self.add {
            made = Cow::Owned(format!("{}{made}", add.as_str()));
        }
        Ok(made)
    }
}

impl Replace {
    fn compile(spec: &ReplaceSpec, problems: &mut Problems<'_>) -> Option<Self> {
        let pattern = problems.take("rewrite.replace_path.pattern", Regex::new(&spec.pattern))?;
        if let Some(group) = unknown_group(&pattern, &spec.with) {
            problems.add(
                "rewrite.replace_path.with",
                format!(
                    "the pattern has no group `{group}`; write `${{1}}x` for a group before a \
                     letter, `$$` for the character `$`"
                ),
            );
        }
        Some(Self {
            pattern,
            with: spec.with.as_str().into(),
            may_escape_slash: path::has_escaped_slash(&spec.with),
        })
    }
}

/// The path with one slash at its front, where it has more.
fn one_slash(path: Cow<'_, str>) -> Cow<'_, str> {
    let more = path.bytes().take_while(|byte| *byte == b'/').count().saturating_sub(1);
    match path {
        _ if more == 0 => path,
        Cow::Borrowed(path) => Cow::Borrowed(&path[more..]),
        Cow::Owned(mut path) => {
            path.drain(..more);
            Cow::Owned(path)
        }
    }
}

fn prefix(key: &str, text: Option<&str>, problems: &mut Problems<'_>) -> Option<Prefix> {
    let text = text?;
    let prefix: Prefix = problems.take(key, text.parse())?;
    if prefix.as_str().is_empty() {
        problems.add(key, "`/` changes nothing; leave it out");
        return None;
    }
    if prefix.as_str().starts_with("//") {
        problems.add(key, "it begins with two slashes");
        return None;
    }
    Some(prefix)
}

/// The first group that a replacement names and the pattern does not have: `regex` would put
/// nothing in its place. Follows that crate's syntax: `$name` is the longest run of letters,
/// digits and `_`.
fn unknown_group<'w>(pattern: &Regex, with: &'w str) -> Option<&'w str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = with;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let name = match rest.strip_prefix('{') {
            Some(braced) => braced.split_once('}').map_or(braced, |(name, _)| name),
            None => &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())],
        };
        let known = match name.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => pattern.capture_names().flatten().any(|known| known == name),
        };
        if !known {
            return Some(name);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::error::testing::compiled;
    use super::super::spec::MatchSpec;
    use super::*;

    fn spec(strip: &str, replace: (&str, &str), add: &str) -> RewriteSpec {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        RewriteSpec {
            strip_prefix: given(strip),
            replace_path: given(replace.0)
                .map(|pattern| ReplaceSpec { pattern, with: replace.1.to_owned() }),
            add_prefix: given(add),
        }
    }

    fn compile(spec: &RewriteSpec, matches: &MatchSpec) -> Result<Rewrite, Vec<String>> {
        compiled(|problems| {
            let matcher = Matcher::compile(None, matches, problems);
            Rewrite::compile(spec, &matcher, problems)
        })
    }

    fn rewrite(strip: &str, replace: (&str, &str), add: &str) -> Rewrite {
        compile(&spec(strip, replace, add), &MatchSpec::default()).unwrap()
    }

    #[test]
    fn strip_and_add_work_on_whole_segments() {
        let none = ("", "");
        let cases = [
            ("/api", "", "/api/v1/x", "/v1/x"),
            ("/api/", "", "/api/v1", "/v1"),
            ("/api", "", "/api", "/"),
            ("/api", "", "/api/", "/"),
            ("/api", "", "/apix", "/apix"),
            ("/api", "", "/other", "/other"),
            ("/api", "", "/api/api/x", "/api/x"),
            ("/api", "", "/api//evil.test", "/evil.test"),
            ("/api", "", "/api///", "/"),
            ("/api", "", "/api/a//b", "/a//b"),
            ("/api", "", "*", "*"),
            ("", "/v2", "/a", "/v2/a"),
            ("", "/v2/", "/a/", "/v2/a/"),
            ("", "/v2", "/", "/v2/"),
            ("", "/v2", "//a", "/v2/a"),
            ("", "/v2", "*", "*"),
            ("/api", "/v2", "/api/x%2Fy", "/v2/x%2Fy"),
            ("/api", "/v2", "/api", "/v2/"),
        ];
        for (strip, add, path, expected) in cases {
            let made = rewrite(strip, none, add).apply(path).map(Cow::into_owned);
            assert_eq!(made.as_deref(), Ok(expected), "{strip} {add} {path}");
        }
        let strip = rewrite("/api", none, "");
        assert!(matches!(strip.apply("/api/v1"), Ok(Cow::Borrowed(_))));
        assert!(Rewrite::default().is_empty() && !strip.is_empty());
    }

    /// INTERFACE, "One path": what a rewrite makes is forwarded only in normal form.
    #[test]
    fn a_replacement_is_in_normal_form_or_an_error() {
        let cases = [
            ("^/v([0-9]+)/", "/api/$1/", "/v2/a", Ok("/api/2/a")),
            ("(?P<n>[0-9]+)", "<${n}>", "/1/2", Ok("/<1>/<2>")),
            ("x", "y", "/a", Ok("/a")),
            ("^", "/", "/a", Ok("/a")),
            ("^/p", "/", "/p/evil.test", Ok("/evil.test")),
            ("x", "%2F", "/x", Ok("/%2F")),
            ("25", "", "/%2F%252F", Ok("/%2F%2F")),
            ("25", "", "/%252F", Err("an escaped slash that the request did not have")),
            ("^/", "", "/a", Err("does not begin with `/`")),
            ("^.*$", "", "/a", Err("does not begin with `/`")),
            ("x", "", "/a/.x./b", Err("its normal form is `/b`")),
            ("x", ".", "/x/b", Err("its normal form is `/b`")),
            ("x", ".", "/xx/b", Err("it leads above the root")),
            ("x", "%2e", "/xx", Err("it leads above the root")),
            ("25", "", "/%252E", Err("its normal form is `/`")),
            ("x", "?a=", "/x", Err("'?' may not stand")),
            ("x", " ", "/x", Err("' ' may not stand")),
            ("x", "\r\n", "/x", Err("'\\r' may not stand")),
            ("x", "\\", "/x", Err("it has a backslash")),
        ];
        for (pattern, with, path, expected) in cases {
            let rewrite = rewrite("", (pattern, with), "");
            match (rewrite.apply(path), expected) {
                (Ok(made), Ok(expected)) => assert_eq!(made, expected, "{pattern} {path}"),
                (Err(error), Err(part)) => {
                    assert!(error.to_string().contains(part), "{pattern} {path}: {error}");
                }
                (made, _) => panic!("{pattern} {path}: {made:?}"),
            }
        }
    }

    #[test]
    fn strip_comes_before_replace_and_add_last() {
        let made = rewrite("/api", ("^/(\\w+)$", "/one/$1"), "/v2");
        assert_eq!(made.apply("/api/x").as_deref(), Ok("/v2/one/x"));
    }

    #[test]
    fn mistakes() {
        let under =
            |prefix: &str| MatchSpec { path_prefixes: vec![prefix.into()], ..MatchSpec::default() };
        let any = MatchSpec::default();
        let cases = [
            (spec("api", ("", ""), ""), &any, "rewrite.strip_prefix: it does not begin with `/`"),
            (spec("/", ("", ""), ""), &any, "rewrite.strip_prefix: `/` changes nothing"),
            (spec("", ("", ""), "/a/.."), &any, "rewrite.add_prefix: its normal form is `/`"),
            (spec("", ("", ""), "//a"), &any, "rewrite.add_prefix: it begins with two slashes"),
            (spec("", ("(", ""), ""), &any, "rewrite.replace_path.pattern: regex parse error"),
            (
                spec("", ("(a)", "$2"), ""),
                &any,
                "rewrite.replace_path.with: the pattern has no group `2`",
            ),
            (
                spec("", ("(a)", "$1x"), ""),
                &any,
                "rewrite.replace_path.with: the pattern has no group `1x`",
            ),
            (
                spec("", ("a", "${n}"), ""),
                &any,
                "rewrite.replace_path.with: the pattern has no group `n`",
            ),
            (
                spec("/app", ("", ""), ""),
                &under("/api/"),
                "rewrite.strip_prefix: no path that this route matches begins with `/app`",
            ),
        ];
        for (spec, matches, expected) in cases {
            let errors = compile(&spec, matches).unwrap_err();
            assert!(errors.len() == 1 && errors[0].starts_with(expected), "{errors:?}");
        }
        for (strip, prefix) in
            [("/api", "/api/"), ("/api", "/api/v1"), ("/api/v1", "/api"), ("/a", "/")]
        {
            assert!(
                compile(&spec(strip, ("", ""), ""), &under(prefix)).is_ok(),
                "{strip} {prefix}"
            );
        }
        assert!(compile(&spec("", ("(a)(?P<n>b)", "$1-${n}$$x"), ""), &any).is_ok());
    }
}
