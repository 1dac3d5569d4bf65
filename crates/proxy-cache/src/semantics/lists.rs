//! Walks through list-based fields (RFC 9110 section 5.6.1) and directives without allocating.

/// Whether the byte may stand in a token (RFC 9110 section 5.6.2).
pub(super) const fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Without the spaces and tabs around it (RFC 9110 section 5.6.3).
pub(super) const fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The members of one field line: what stands between commas outside quoted strings, trimmed,
/// empty ones left out.
///
/// A quotation mark that is never closed is an ordinary character, so that it cannot hide the
/// members behind it.
#[derive(Clone, Debug)]
pub(super) struct Members<'a> {
    rest: &'a [u8],
    escapes: bool,
    quotes: bool,
}

/// The members of a line in which `\` escapes inside quoted strings.
pub(super) const fn members(line: &[u8]) -> Members<'_> {
    Members { rest: line, escapes: true, quotes: true }
}

/// The members of a line of entity tags, in which `\` is a character (RFC 9110 section 8.8.3).
pub(super) const fn tags(line: &[u8]) -> Members<'_> {
    Members { rest: line, escapes: false, quotes: true }
}

impl<'a> Members<'a> {
    /// Where the member at the start of `rest` ends.
    fn end(&mut self) -> usize {
        let mut i = 0;
        while let Some(&b) = self.rest.get(i) {
            match b {
                b',' => return i,
                b'"' if self.quotes => match self.close(i + 1) {
                    Some(close) => i = close + 1,
                    None => {
                        self.quotes = false;
                        i += 1;
                    }
                },
                _ => i += 1,
            }
        }
        i
    }

    /// The mark that closes the string whose first character is at `i`.
    fn close(&self, mut i: usize) -> Option<usize> {
        loop {
            match self.rest.get(i)? {
                b'"' => return Some(i),
                b'\\' if self.escapes => i += 2,
                _ => i += 1,
            }
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = self.end();
            let member = trim(&self.rest[..end]);
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    }
}

/// A directive: `name`, `name=token` or `name="string"` (RFC 9111 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Directive<'a> {
    pub(super) name: &'a [u8],
    pub(super) argument: Argument<'a>,
}

/// What stands behind the name of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument<'a> {
    None,
    /// A token, or the inside of a quoted string with its escapes: the two mean the same.
    Value(&'a [u8]),
    /// Neither: a space around `=`, a second word, an open string.
    Malformed,
}

impl<'a> Directive<'a> {
    /// Takes a member apart. A member that does not start with a token is none.
    pub(super) fn parse(member: &'a [u8]) -> Option<Self> {
        let end = member.iter().position(|&b| !is_token(b)).unwrap_or(member.len());
        let (name, rest) = member.split_at(end);
        if name.is_empty() {
            return None;
        }
        let argument = match rest {
            [] => Argument::None,
            [b'=', b'"', inside @ .., b'"'] if is_quoted(inside) => Argument::Value(inside),
            [b'=', token @ ..] if !token.is_empty() && token.iter().all(|&b| is_token(b)) => {
                Argument::Value(token)
            }
            _ => Argument::Malformed,
        };
        Some(Self { name, argument })
    }

    pub(super) const fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Whether no mark inside the string closes it early.
fn is_quoted(inside: &[u8]) -> bool {
    let mut i = 0;
    while let Some(&b) = inside.get(i) {
        match b {
            b'"' => return false,
            b'\\' => i += 2,
            _ => i += 1,
        }
    }
    i == inside.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_are_what_stands_between_commas() {
        const CASES: &[(&str, &[&str])] = &[
            ("", &[]),
            (" , ,\t,", &[]), // RFC 9110 5.6.1.2: empty members count for nothing
            ("a", &["a"]),
            (" a ,\tb", &["a", "b"]),
            (r#"a="x, y", b"#, &[r#"a="x, y""#, "b"]), // 5.6.4
            (r#"a="x\", y", b"#, &[r#"a="x\", y""#, "b"]), // 5.6.4: quoted-pair
            (r#"a="x, no-store"#, &[r#"a="x"#, "no-store"]), // an open string hides nothing
            (r#"a="\", b, "c, d"#, &[r#"a="\", b, "c"#, "d"]),
        ];
        for (line, want) in CASES {
            let found: Vec<_> = members(line.as_bytes()).collect();
            let want: Vec<_> = want.iter().map(|m| m.as_bytes()).collect();
            assert_eq!(found, want, "{line}");
        }
        let found: Vec<_> = tags(br#""a\", W/"b,c""#).collect();
        assert_eq!(found, [&br#""a\""#[..], br#"W/"b,c""#]); // 8.8.3: no escapes in tags
    }

    #[test]
    fn a_directive_has_a_name_and_perhaps_an_argument() {
        use Argument::{Malformed, None, Value};
        const CASES: &[(&str, &str, Argument<'_>)] = &[
            ("no-store", "no-store", None),
            ("max-age=60", "max-age", Value(b"60")),
            (r#"max-age="60""#, "max-age", Value(b"60")),
            (r#"max-age="""#, "max-age", Value(b"")),
            ("max-age=", "max-age", Malformed),
            ("max-age 60", "max-age", Malformed),
            ("max-age =60", "max-age", Malformed),
            ("max-age= 60", "max-age", Malformed),
            (r#"max-age="60"#, "max-age", Malformed),
            (r#"max-age="60"1"#, "max-age", Malformed),
            (r#"max-age="\""#, "max-age", Malformed),
            (r#"max-age="a"b""#, "max-age", Malformed),
            ("max-age=\"", "max-age", Malformed),
            ("max-age=60;x", "max-age", Malformed),
        ];
        for &(member, name, argument) in CASES {
            let want = Directive { name: name.as_bytes(), argument };
            assert_eq!(Directive::parse(member.as_bytes()), Some(want), "{member}");
        }
        assert_eq!(Directive::parse(b"=60"), Option::None);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_invented(line in prop::collection::vec(any::<u8>(), 0..200)) {
            for walk in [members(&line), tags(&line)] {
                let mut left = line.len();
                for member in walk {
                    prop_assert!(!member.is_empty() && member.len() <= left);
                    left -= member.len();
                    let _ = Directive::parse(member);
                }
            }
        }
    }
}
