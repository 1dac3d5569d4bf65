//! Request targets: their forms (RFC 9112 section 3.2), the authority, and the one normal form of
//! the path that is matched, keyed, inspected and forwarded alike.

use std::borrow::Cow;

/// The form of a request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetForm {
    /// `/path?query`; also an HTTP/2 request with `:authority`.
    Origin,
    /// `http://host/path`: what a client sends to a forward proxy.
    Absolute,
    /// `host:port`: CONNECT.
    Authority,
    /// `*`: OPTIONS for the server as a whole.
    Asterisk,
}

/// In the extensions of an OPTIONS request whose absolute target has no path: it asks about the
/// server as a whole (RFC 9112 section 3.2.4). A URI type reads it as the path `/`; only the edge
/// sees the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsteriskTarget;

/// A host and an optional port, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host; an IPv6 address keeps its brackets.
    pub host: &'a str,
    /// The port, where one is given.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `uri-host [ ":" port ]` (RFC 9110 section 7.2). No userinfo, no empty host; a colon
    /// without a port is allowed by the grammar and means none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let end = rest.find(']')?;
                let address = &rest[..end];
                address.parse::<std::net::Ipv6Addr>().ok()?;
                (&text[..end + 2], &rest[end + 1..])
            }
            None => text.split_at(memchr::memchr(b':', text.as_bytes()).unwrap_or(text.len())),
        };
        // One dot may end a name; two readers could treat more of them, or one in front, differently.
        if host.is_empty() {
            return None;
        }
        if !host.starts_with('[') {
            // As if there were a dot in front: so the first byte can be none.
            let mut previous = b'.';
            for b in host.bytes() {
                if !REG_NAME[usize::from(b)] || b == b'.' && previous == b'.' {
                    return None;
                }
                previous = b;
            }
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().ok().filter(|&port| port > 0)?)
            }
            _ => return None,
        };
        Some(Self { host, port })
    }
}

/// [`is_reg_name`] of every byte: hosts are read several times for each request.
const REG_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = is_reg_name(b as u8);
        b += 1;
    }
    table
};

/// `reg-name` of RFC 3986 without percent escapes, which two readers could decode differently,
/// and without the comma, at which one of them could split.
const fn is_reg_name(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b';'
                | b'='
        )
}

/// How paths are brought to the normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PathPolicy {
    /// `//` becomes `/`. Default: empty segments are kept.
    pub merge_slashes: bool,
    /// `%2F` is kept as it is. Default: such a request is refused.
    pub allow_encoded_slash: bool,
}

/// Why a path has no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// `%` without two hexadecimal digits.
    Escape,
    /// `%00`.
    Nul,
    /// `\` or `%5C`.
    Backslash,
    /// `%2F`.
    EncodedSlash,
    /// `..` above the root.
    AboveRoot,
}

impl PathFault {
    /// The word in log and page.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Escape => "path_escape",
            Self::Nul => "path_nul",
            Self::Backslash => "path_backslash",
            Self::EncodedSlash => "path_encoded_slash",
            Self::AboveRoot => "path_above_root",
        }
    }
}

impl PathPolicy {
    /// The normal form of a path that begins with `/`: unreserved escapes decoded, other escapes
    /// in upper case, dot segments removed (RFC 3986 section 6.2.2). A path that is in normal
    /// form already comes back borrowed, after one pass over its bytes.
    ///
    /// # Errors
    /// A [`PathFault`] where two readers could see two different paths.
    pub fn normalise<'a>(&self, path: &'a str) -> Result<Cow<'a, str>, PathFault> {
        let bytes = path.as_bytes();
        let mut previous = 0;
        for &b in bytes {
            let suspicious = match b {
                b'%' | b'\\' => true,
                b'.' => previous == b'/',
                b'/' => previous == b'/' && self.merge_slashes,
                _ => false,
            };
            if suspicious {
                return self.rewrite(bytes).map(Cow::Owned);
            }
            previous = b;
        }
        Ok(Cow::Borrowed(path))
    }

    fn rewrite(&self, path: &[u8]) -> Result<String, PathFault> {
        let decoded = self.decode(path)?;
        let mut out = String::with_capacity(decoded.len());
        let mut segments = decoded.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            match segment {
                "." if last => out.push('/'),
                "." => {}
                ".." => {
                    let up = out.rfind('/').ok_or(PathFault::AboveRoot)?;
                    out.truncate(up);
                    if last {
                        out.push('/');
                    }
                }
                "" if self.merge_slashes && !last => {}
                _ => {
                    out.push('/');
                    out.push_str(segment);
                }
            }
        }
        if out.is_empty() {
            out.push('/');
        }
        Ok(out)
    }

    fn decode(&self, path: &[u8]) -> Result<String, PathFault> {
        let mut out = Vec::with_capacity(path.len());
        let mut rest = path;
        while let Some((&b, tail)) = rest.split_first() {
            rest = tail;
            match b {
                b'\\' => return Err(PathFault::Backslash),
                b'%' => {
                    let [high, low, tail @ ..] = tail else { return Err(PathFault::Escape) };
                    let (Some(h), Some(l)) = (hex(*high), hex(*low)) else {
                        return Err(PathFault::Escape);
                    };
                    rest = tail;
                    match h << 4 | l {
                        0 => return Err(PathFault::Nul),
                        b'\\' => return Err(PathFault::Backslash),
                        b'/' if !self.allow_encoded_slash => return Err(PathFault::EncodedSlash),
                        c if c.is_ascii_alphanumeric()
                            || matches!(c, b'-' | b'.' | b'_' | b'~') =>
                        {
                            out.push(c);
                        }
                        _ => {
                            out.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
                        }
                    }
                }
                _ => out.push(b),
            }
        }
        // Only ASCII was put in or taken out, so what was UTF-8 still is.
        String::from_utf8(out).map_err(|_| PathFault::Escape)
    }
}

fn hex(b: u8) -> Option<u8> {
    (b as char).to_digit(16).map(|d| d as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn authorities() {
        let parse = |t| Authority::parse(t).map(|a| (a.host, a.port));
        assert_eq!(parse("a.test"), Some(("a.test", None)));
        assert_eq!(parse("a.test:80"), Some(("a.test", Some(80))));
        assert_eq!(parse("a.test:"), Some(("a.test", None)));
        assert_eq!(parse("[::1]:8080"), Some(("[::1]", Some(8080))));
        for bad in [
            "",
            ":80",
            "a@b",
            "a,b",
            "a/b",
            "a b",
            "a:b",
            "a:65536",
            "a:0",
            "a:80:80",
            "[::1",
            "[::1]x",
            "[::1%25eth0]",
            "::1",
            "[v1.x]",
            ".a",
            "a..",
            "a..b",
            ".",
            "a%2eb",
            "a\\b",
            "a?b",
            "[]",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    /// INTERFACE "One path".
    #[test]
    fn one_path() {
        let strict = PathPolicy::default();
        for (path, normal) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/a//b", "/a//b"),
            ("/a//../b", "/a/b"),
            ("/%7euser/%41", "/~user/A"),
            ("/%2e%2E/", "above"),
            ("/a/%2e%2e/b", "/b"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a%20b", "/a%20b"),
            ("/a%25b", "/a%25b"),
            ("/é%41", "/éA"),
        ] {
            match strict.normalise(path) {
                Ok(got) => assert_eq!(got, normal, "{path:?}"),
                Err(fault) => {
                    assert_eq!((fault, normal), (PathFault::AboveRoot, "above"), "{path:?}");
                }
            }
        }
        for (path, fault) in [
            ("/..", PathFault::AboveRoot),
            ("/a/../../b", PathFault::AboveRoot),
            ("/a%00", PathFault::Nul),
            ("/a\\b", PathFault::Backslash),
            ("/a%5cb", PathFault::Backslash),
            ("/a%2Fb", PathFault::EncodedSlash),
            ("/a%2", PathFault::Escape),
            ("/a%zz", PathFault::Escape),
        ] {
            assert_eq!(strict.normalise(path), Err(fault), "{path:?}");
        }
        let merging = PathPolicy { merge_slashes: true, allow_encoded_slash: true };
        assert_eq!(merging.normalise("//a///b//").expect("path"), "/a/b/");
        assert_eq!(merging.normalise("/a%2fb").expect("path"), "/a%2Fb");
    }

    proptest! {
        /// The normal form is a fixed point: what is matched is what is forwarded.
        #[test]
        fn normalising_twice_changes_nothing(path in "/[a-c./%2eE5]{0,24}", merge in any::<bool>()) {
            let policy = PathPolicy { merge_slashes: merge, allow_encoded_slash: true };
            if let Ok(once) = policy.normalise(&path) {
                let twice = policy.normalise(&once).expect("normal");
                prop_assert_eq!(once.as_ref(), twice.as_ref());
                prop_assert!(once.starts_with('/'));
                prop_assert!(!once.split('/').any(|s| s == ".." || s == "."));
            }
        }
    }
}
