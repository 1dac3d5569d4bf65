//! What a value is made of: many are themselves JSON, a URL, a query string, XML or base64.

use super::extract::decode_form;
use super::kinds::Kinds;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structure<'a> {
    /// A text.
    Plain,
    /// It looks like JSON.
    Json,
    /// It looks like XML.
    Xml,
    /// A URL or a path with a query.
    Target(Target<'a>),
    /// A query string.
    Pairs(&'a [u8]),
}

/// The parts of a URL, still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Scheme and authority; empty for a path.
    pub(super) origin: &'a [u8],
    pub(super) path: &'a [u8],
    pub(super) query: &'a [u8],
    pub(super) fragment: &'a [u8],
}

/// What a value that has these kinds of bytes is, by its looks.
pub(super) fn of(value: &[u8], kinds: Kinds) -> Structure<'_> {
    let text = value.trim_ascii();
    let (Some(&first), Some(&last)) = (text.first(), text.last()) else { return Structure::Plain };
    match (first, last) {
        (b'{', b'}') | (b'[', b']') if text.len() > 2 => return Structure::Json,
        (b'<', b'>') if text.starts_with(b"<?xml") => return Structure::Xml,
        (b'/' | b'?', _) => {}
        _ if first.is_ascii_alphanumeric() || matches!(first, b'_' | b'.' | b'%' | b'#') => {}
        _ => return Structure::Plain,
    }
    // A blank that is left is one inside, where no address has any; without slashes there is no
    // scheme, without a question mark no query.
    let is_blank = kinds.has(Kinds::BLANK) && text.len() == value.len();
    if !is_blank
        && kinds.has(Kinds::SLASH | Kinds::QUESTION)
        && let Some(target) = target(text, kinds)
    {
        return Structure::Target(target);
    }
    if kinds.has(Kinds::EQUALS) && kinds.has(Kinds::AMPERSAND) && is_pairs(text) {
        return Structure::Pairs(text);
    }
    Structure::Plain
}

fn target(text: &[u8], kinds: Kinds) -> Option<Target<'_>> {
    if kinds.has(Kinds::BLANK) && text.iter().any(|&b| b <= b' ') {
        return None;
    }
    let (origin, rest) = match scheme_end(text) {
        Some(after) => {
            let is_end = |b: &u8| !HOST[usize::from(*b)];
            let end = text[after..].iter().position(is_end).map_or(text.len(), |at| after + at);
            if text.get(end).is_some_and(|b| !matches!(b, b'/' | b'?' | b'#')) {
                return None;
            }
            text.split_at(end)
        }
        // Without a scheme only what has a query with names, and a path in front.
        None => {
            let mark = memchr::memchr(b'?', text)?;
            let in_path = |b: &u8| {
                b.is_ascii_alphanumeric()
                    || matches!(b, b'/' | b'.' | b'-' | b'_' | b'%' | b'~' | b',')
            };
            if !text[..mark].iter().all(in_path) || !is_pairs(&text[mark + 1..]) {
                return None;
            }
            (&b""[..], text)
        }
    };
    let (rest, fragment) = split(rest, b'#');
    let (path, query) = split(rest, b'?');
    Some(Target { origin, path, query, fragment })
}

/// The bytes of authorities.
static HOST: [bool; 256] = {
    let mut host = [false; 256];
    let mut n = 0;
    while n < 256 {
        let b = n as u8;
        host[n] = b.is_ascii_alphanumeric()
            || matches!(b, b'.' | b'-' | b':' | b'_' | b'[' | b']' | b'@' | b'%')
            || b >= 0x80;
        n += 1;
    }
    host
};

/// Where the authority of a URL of the web begins.
fn scheme_end(text: &[u8]) -> Option<usize> {
    let schemes: &[&[u8]] = match text.first()? {
        b'h' | b'H' => &[b"https://", b"http://"],
        b'w' | b'W' => &[b"wss://", b"ws://"],
        b'/' => &[b"//"],
        _ => return None,
    };
    schemes
        .iter()
        .find(|s| text.len() >= s.len() && text[..s.len()].eq_ignore_ascii_case(s))
        .map(|s| s.len())
}

fn split(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    match memchr::memchr(at, text) {
        Some(i) => (&text[..i], &text[i + 1..]),
        None => (text, &[]),
    }
}

/// Whether a text is `name=value&name=value` throughout, or one such pair with a long name.
fn is_pairs(text: &[u8]) -> bool {
    if memchr::memchr(b'=', text).is_none() {
        return false;
    }
    let mut pairs = 0;
    for pair in text.split(|&b| b == b'&') {
        let Some(end) = memchr::memchr(b'=', pair) else { return false };
        let is_name = |b: &u8| {
            b.is_ascii_alphanumeric()
                || matches!(b, b'_' | b'-' | b'.' | b'[' | b']' | b'%' | b'$' | b':' | b'~')
        };
        if end == 0 || !pair[..end].iter().all(is_name) {
            return false;
        }
        pairs += 1;
    }
    pairs >= 2
}

/// Takes one layer of percent escapes off, if there is one that matters.
pub(super) fn decode_once(value: &[u8], out: &mut Vec<u8>) -> bool {
    let has_escape = memchr::memchr_iter(b'%', value).any(|at| {
        value.get(at + 1).is_some_and(u8::is_ascii_hexdigit)
            && value.get(at + 2).is_some_and(u8::is_ascii_hexdigit)
    });
    if has_escape {
        decode_form(value, out);
    }
    has_escape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures() {
        let of = |text: &'static [u8]| of(text, Kinds::of(text));
        let kind = |text: &'static str| match of(text.as_bytes()) {
            Structure::Plain => "plain",
            Structure::Json => "json",
            Structure::Xml => "xml",
            Structure::Target(_) => "target",
            Structure::Pairs(_) => "pairs",
        };
        for (text, expected) in [
            ("", "plain"),
            ("hello world", "plain"),
            ("{\"a\":1}", "json"),
            ("[1,2]", "json"),
            ("{{7*7}}", "json"),
            ("https://a.test/x?y=z", "target"),
            ("//a.test/x", "target"),
            ("/search?q=a&b=c", "target"),
            ("/search?what is it", "plain"),
            ("https://a.test is a page", "plain"),
            ("https://a'b/x", "plain"),
            ("a=b&c=d", "pairs"),
            ("a=b", "plain"),
            ("a=b&&id", "plain"),
            ("x' or 'a'='a&b=c", "plain"),
            ("<?xml version='1.0'?><a/>", "xml"),
            ("<p>x</p>", "plain"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
        let Structure::Target(target) = of(b"http://h:1/p/q?a=b#c") else { panic!("a target") };
        assert_eq!(
            target,
            Target { origin: b"http://h:1", path: b"/p/q", query: b"a=b", fragment: b"c" }
        );
    }
}
