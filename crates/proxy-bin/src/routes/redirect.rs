//! Redirects that a route answers with.
//!
//! The target is a path, or an absolute `http` or `https` URL, with placeholders:
//!
//! | placeholder | is |
//! |---|---|
//! | `{rest}` | what follows the matched prefix, without the slash between; only with `path_prefixes`, or without any condition on the path |
//! | `{path}` | the whole path, normalised |
//! | `{query}` | the query, without `?`; only after the target's own `?` |
//! | `{host}` | the host, without a port; only in the target's authority, and only on a route that matches `hosts`, so that no client chooses where others are sent |
//!
//! A target without `?` keeps the request's query. Values are escaped where they stand: in the
//! query, a path cannot add parameters. The authority is fixed but for `{host}`: a value can
//! follow it only after a slash. The made Location never begins with two slashes, whatever the
//! path, and never has a control character or a backslash.

use http::{HeaderValue, StatusCode};

use super::error::Problems;
use super::matcher::Matcher;
use super::path;
use super::spec::RedirectSpec;
use super::template::{self, Part, Template};

/// What the placeholders stand for, for one request.
#[derive(Debug, Clone, Copy)]
pub struct RedirectContext<'a> {
    /// `{host}`, without a port.
    pub host: &'a str,
    /// `{path}`, normalised.
    pub path: &'a str,
    /// `{query}`, without the question mark.
    pub query: Option<&'a str>,
    /// `{rest}`, as [`Lookup::Route`](super::Lookup::Route) gives it.
    pub rest: &'a str,
}

/// Why no Location can be made for a request: a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// The host is none that could stand in a URL.
    #[error("the host cannot stand in a URL")]
    Host,
    /// The made text is not a field value.
    #[error("the location is not a field value")]
    Value,
}

/// A compiled redirect.
#[derive(Debug, Clone)]
pub struct Redirect {
    status: StatusCode,
    /// Scheme and authority; empty for a path.
    origin: Template<Placeholder>,
    path: Template<Placeholder>,
    /// `None`: the request's query is kept.
    query: Option<Template<Placeholder>>,
    /// With its `#`, or empty.
    fragment: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Rest,
    Path,
    Query,
    Host,
}

const PLACEHOLDERS: [&str; 4] = ["rest", "path", "query", "host"];
const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

impl Redirect {
    pub(super) fn compile(
        spec: &RedirectSpec,
        matcher: &Matcher,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        let status = StatusCode::from_u16(spec.status).ok();
        if !STATUSES.contains(&spec.status) {
            problems.add("redirect.status", "a redirect is 301, 302, 303, 307 or 308");
        }
        let known = |name: &str| {
            let placeholder = Placeholder::parse(name)?;
            match placeholder {
                Placeholder::Rest if !matcher.path().has_rest() => {
                    Err("`{rest}` needs `match.path_prefixes`; did you mean `{path}`?".into())
                }
                Placeholder::Host if !matcher.names_hosts() => {
                    Err("`{host}` needs `match.hosts`: without it, any client could choose where \
                         others are sent"
                        .into())
                }
                placeholder => Ok(placeholder),
            }
        };
        let target = Template::parse(&spec.to, known).and_then(Target::parse);
        let target = problems.take("redirect.to", target)?;
        let Target { origin, path, query, fragment } = target;
        Some(Self { status: status?, origin, path, query, fragment })
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The Location for one request.
    ///
    /// # Errors
    ///
    /// Only for a host that hygiene should have refused before.
    pub fn location(&self, context: &RedirectContext<'_>) -> Result<HeaderValue, RedirectError> {
        let request_path = if context.path.starts_with('/') { context.path } else { "/" };
        let value = |placeholder: Placeholder| match placeholder {
            Placeholder::Rest => context.rest,
            Placeholder::Path => request_path,
            Placeholder::Query => context.query.unwrap_or_default(),
            Placeholder::Host => context.host,
        };
        let mut location = String::with_capacity(64);
        for part in &self.origin.parts {
            match part {
                Part::Literal(text) => location.push_str(text),
                Part::Value(placeholder) => {
                    let host = value(*placeholder);
                    if !is_host(host) {
                        return Err(RedirectError::Host);
                    }
                    location.push_str(host);
                }
            }
        }
        let path_start = location.len();
        for part in &self.path.parts {
            match part {
                Part::Literal(text) => location.push_str(text),
                Part::Value(placeholder) => push_escaped(&mut location, value(*placeholder), b"?#"),
            }
        }
        // A second slash at the front of a path would begin an authority.
        let slashes = location[path_start..].bytes().take_while(|byte| *byte == b'/').count();
        if slashes > 1 {
            location.drain(path_start..path_start + slashes - 1);
        }
        match &self.query {
            Some(query) => {
                let query_start = location.len();
                for part in &query.parts {
                    match part {
                        Part::Literal(text) => location.push_str(text),
                        Part::Value(Placeholder::Query) => {
                            push_escaped(&mut location, value(Placeholder::Query), b"#");
                        }
                        Part::Value(placeholder) => {
                            push_escaped(&mut location, value(*placeholder), b"%&=+;?#");
                        }
                    }
                }
                if location.len() > query_start {
                    location.insert(query_start, '?');
                }
            }
            None => {
                if let Some(query) = context.query.filter(|query| !query.is_empty()) {
                    location.push('?');
                    push_escaped(&mut location, query, b"#");
                }
            }
        }
        location.push_str(&self.fragment);
        HeaderValue::try_from(location).map_err(|_| RedirectError::Value)
    }
}

impl Placeholder {
    fn parse(name: &str) -> Result<Self, String> {
        Ok(match name {
            "rest" => Self::Rest,
            "path" => Self::Path,
            "query" => Self::Query,
            "host" => Self::Host,
            name => return Err(template::unknown(name, &PLACEHOLDERS)),
        })
    }

    /// Whether its value always begins with a slash.
    fn begins_with_slash(self) -> bool {
        self == Self::Path
    }
}

/// A target, taken apart.
#[derive(Debug)]
struct Target {
    origin: Template<Placeholder>,
    path: Template<Placeholder>,
    query: Option<Template<Placeholder>>,
    fragment: String,
}

/// The component of a URL that the parts of a target fall into, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Component {
    Origin,
    Path,
    Query,
    Fragment,
}

impl Target {
    fn parse(template: Template<Placeholder>) -> Result<Self, String> {
        let mut target = Self {
            origin: Template { parts: Vec::new() },
            path: Template { parts: Vec::new() },
            query: None,
            fragment: String::new(),
        };
        let mut parts = template.parts.into_iter();
        let mut component = Component::Path;
        match parts.next() {
            Some(Part::Literal(text)) => {
                check_literal(&text)?;
                let scheme = ["https://", "http://"].into_iter().find(|scheme| {
                    text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme))
                });
                if let Some(scheme) = scheme {
                    component = Component::Origin;
                    target.origin.parts.push(Part::Literal(scheme.into()));
                    component = target.literal(component, &text[scheme.len()..])?;
                } else if text.starts_with('/') && !text.starts_with("//") {
                    component = target.literal(component, &text)?;
                } else {
                    return Err("it begins with one `/`, `http://` or `https://`".into());
                }
            }
            Some(Part::Value(placeholder)) if placeholder.begins_with_slash() => {
                target.path.parts.push(Part::Value(placeholder));
            }
            Some(Part::Value(_)) => {
                return Err("it begins with one `/`, `http://` or `https://`".into());
            }
            None => return Err("a redirect goes somewhere: it is empty".into()),
        }
        for part in parts {
            component = match part {
                Part::Literal(text) => {
                    check_literal(&text)?;
                    target.literal(component, &text)?
                }
                Part::Value(placeholder) => target.value(component, placeholder)?,
            };
        }
        target.check_origin()?;
        Ok(target)
    }

    /// Checks the authority, with a name in the place of `{host}`.
    fn check_origin(&self) -> Result<(), String> {
        let Some((_, parts)) = self.origin.parts.split_first() else {
            return Ok(());
        };
        let authority: String = parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => text.as_str(),
                Part::Value(_) => "x.test",
            })
            .collect();
        if authority.is_empty() {
            return Err("the URL has no host".into());
        }
        let parsed = authority.parse::<http::uri::Authority>().ok().filter(|parsed| {
            // Without a number that is one, `port_u16` is as if there were no port.
            !parsed.host().is_empty() && (parsed.port_u16().is_some() || parsed.host() == authority)
        });
        match parsed {
            Some(_) => Ok(()),
            None => Err(format!("`{authority}` is not a host with an optional port")),
        }
    }

    /// Deals a literal out to the components, from the current one on.
    fn literal(&mut self, component: Component, text: &str) -> Result<Component, String> {
        let end_of = |ends: &[char]| text.find(ends).unwrap_or(text.len());
        let (end, next) = match component {
            Component::Origin => (end_of(&['/', '?', '#']), Component::Path),
            Component::Path => (end_of(&['?', '#']), Component::Query),
            Component::Query => (end_of(&['#']), Component::Fragment),
            Component::Fragment => {
                self.fragment.push_str(text);
                return Ok(component);
            }
        };
        let (own, rest) = text.split_at(end);
        let literal = (!own.is_empty()).then(|| Part::Literal(own.to_owned()));
        match component {
            Component::Origin => {
                if !own.bytes().all(|byte| is_host_byte(byte) || byte == b':') {
                    return Err(format!("`{own}` is not a host with an optional port"));
                }
                self.origin.parts.extend(literal);
            }
            Component::Path => {
                let dots = own.split('/').any(|segment| segment == "." || segment == "..");
                if dots {
                    return Err("it has a dot segment".into());
                }
                self.path.parts.extend(literal);
            }
            Component::Query => {
                if let Some(query) = &mut self.query {
                    query.parts.extend(literal);
                }
            }
            Component::Fragment => {}
        }
        if rest.is_empty() {
            return Ok(component);
        }
        match (next, rest.as_bytes()[0]) {
            (Component::Path, _) => self.literal(Component::Path, rest),
            (Component::Query, b'?') => {
                self.query = Some(Template { parts: Vec::new() });
                self.literal(Component::Query, &rest[1..])
            }
            _ => self.literal(Component::Fragment, rest),
        }
    }

    /// Puts a placeholder where it stands, if it may stand there.
    fn value(&mut self, at: Component, placeholder: Placeholder) -> Result<Component, String> {
        let part = Part::Value(placeholder);
        match (at, placeholder) {
            (Component::Origin, Placeholder::Host) => {
                self.origin.parts.push(part);
                Ok(at)
            }
            (Component::Origin, placeholder)
                if placeholder.begins_with_slash() && self.origin.parts.len() > 1 =>
            {
                self.path.parts.push(part);
                Ok(Component::Path)
            }
            (Component::Origin, _) => {
                Err("only `{host}` stands in the host of a URL; put a `/` before what follows"
                    .into())
            }
            (Component::Path, Placeholder::Query) => {
                Err("`{query}` stands only after a `?`; a target without `?` keeps the query"
                    .into())
            }
            (Component::Path, Placeholder::Host) => {
                Err("`{host}` stands only in the host of a URL, as in `https://{host}{path}`"
                    .into())
            }
            (Component::Path, _) => {
                self.path.parts.push(part);
                Ok(at)
            }
            (Component::Query, _) => {
                if let Some(query) = &mut self.query {
                    query.parts.push(part);
                }
                Ok(at)
            }
            (Component::Fragment, _) => Err("nothing of the request stands after `#`".into()),
        }
    }
}

/// The characters of a URL, and whole escapes.
fn check_literal(text: &str) -> Result<(), String> {
    for (at, byte) in text.bytes().enumerate() {
        if byte == b'%' && path::escaped_at(text.as_bytes(), at).is_none() {
            return Err("a `%` is not followed by two hexadecimal digits".into());
        }
    }
    match text.chars().find(|c| !c.is_ascii() || !is_url_byte(*c as u8)) {
        Some(c) => Err(format!("{c:?} may not stand in a URL; escape it with `%`")),
        None => Ok(()),
    }
}

fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._[]".contains(&byte)
}

/// Whether a client's host can stand in a URL as it is: a name, an IPv4 address, or an IPv6
/// address in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    }
}

/// Appends what a request sent, with everything escaped that is no character of a URL, and
/// `also`. What is escaped already stays, unless `also` has `%`.
fn push_escaped(out: &mut String, text: &str, also: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if is_url_byte(byte) && !also.contains(&byte) {
            out.push(byte.into());
        } else {
            out.push('%');
            out.push(DIGITS[usize::from(byte >> 4)].into());
            out.push(DIGITS[usize::from(byte & 15)].into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::testing::compiled;
    use super::super::spec::MatchSpec;
    use super::*;

    /// A route on a prefix and on hosts, so that all placeholders may stand.
    fn old() -> MatchSpec {
        MatchSpec {
            path_prefixes: vec!["/old/".into()],
            hosts: vec!["x.test".into()],
            ..MatchSpec::default()
        }
    }

    fn compile(to: &str, status: u16, matches: &MatchSpec) -> Result<Redirect, Vec<String>> {
        let spec = RedirectSpec { to: to.into(), status };
        compiled(|problems| {
            let matcher = Matcher::compile(None, matches, problems);
            Redirect::compile(&spec, &matcher, problems)
        })
        .map(Option::unwrap)
    }

    fn location(to: &str, target: &str) -> String {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let rest = path.strip_prefix("/old").unwrap_or_default();
        let rest = rest.strip_prefix('/').unwrap_or_default();
        let redirect = compile(to, 308, &old()).unwrap_or_else(|errors| panic!("{to}: {errors:?}"));
        let context = RedirectContext { host: "x.test", path, query, rest };
        redirect.location(&context).unwrap().to_str().unwrap().to_owned()
    }

    /// INTERFACE, "Redirects": they keep the remainder with `{rest}`, and the query.
    #[test]
    fn locations() {
        let cases = [
            ("/static/{rest}", "/old/a/b.css", "/static/a/b.css"),
            ("/static/{rest}", "/old/a?v=1", "/static/a?v=1"),
            ("/static/{rest}", "/old", "/static/"),
            ("/static/{rest}", "/old/?", "/static/"),
            ("/static{path}", "/old/a", "/static/old/a"),
            ("{path}/", "/old/a?b", "/old/a/?b"),
            ("/new", "/old/a?v=1", "/new?v=1"),
            ("/new?", "/old/a?v=1", "/new"),
            ("/new?x=1", "/old/a?v=1", "/new?x=1"),
            ("/new?x=1&{query}", "/old/a?v=1", "/new?x=1&v=1"),
            ("/new?{query}", "/old/a", "/new"),
            ("/new#top", "/old/a?v=1", "/new?v=1#top"),
            ("/new?a#b?c/d", "/old/a", "/new?a#b?c/d"),
            ("https://{host}{path}", "/old/a?v=1", "https://x.test/old/a?v=1"),
            ("https://{host}", "/old/a?v=1", "https://x.test?v=1"),
            ("https://www.{host}:8443/{rest}", "/old/a", "https://www.x.test:8443/a"),
            ("HTTPS://y.test/{rest}", "/old/a", "https://y.test/a"),
            ("http://[2001:db8::1]:80/", "/old", "http://[2001:db8::1]:80/"),
            ("https://y.test?next={path}", "/old/a", "https://y.test?next=/old/a"),
            ("https://{host}{path}", "*", "https://x.test/"),
        ];
        for (to, target, expected) in cases {
            assert_eq!(location(to, target), expected, "{to} {target}");
        }
    }

    /// INTERFACE, "Redirects": a made Location never begins with `//`.
    #[test]
    fn a_location_stays_on_its_host() {
        let cases = [
            ("/{rest}", "/old//evil.test", "/evil.test"),
            ("/{rest}", "/old///evil.test/a", "/evil.test/a"),
            ("{path}", "//evil.test", "/evil.test"),
            ("/{rest}", "/old/\\evil.test", "/%5Cevil.test"),
            ("/{rest}", "/old/\t/evil.test", "/%09/evil.test"),
            ("/{rest}", "/old/a\r\nSet-Cookie: b", "/a%0D%0ASet-Cookie:%20b"),
            ("/new", "/old/a?b\\c\r\n", "/new?b%5Cc%0D%0A"),
            ("/new", "/old/a?b#c", "/new?b%23c"),
            ("/new?next={path}", "/old/a&admin=1", "/new?next=/old/a%26admin%3D1"),
            ("/new?next={path}", "/old/a%26b", "/new?next=/old/a%2526b"),
            ("https://y.test/{rest}", "/old//evil.test", "https://y.test/evil.test"),
            ("https://y.test{path}", "//evil.test", "https://y.test/evil.test"),
            ("/a/{rest}", "/old//b", "/a//b"),
            ("/a/{rest}", "/old/ü", "/a/%C3%BC"),
        ];
        for (to, target, expected) in cases {
            assert_eq!(location(to, target), expected, "{to} {target}");
        }
    }

    #[test]
    fn a_host_that_is_none_makes_no_location() {
        let redirect = compile("https://{host}{path}", 301, &old()).unwrap();
        for host in
            ["", "x.test@evil.test", "x.test/", "x.test:1", "a\\x.test", "[::1", "[::1%25a]"]
        {
            let context = RedirectContext { host, path: "/", query: None, rest: "" };
            assert_eq!(redirect.location(&context), Err(RedirectError::Host), "{host}");
        }
        for host in ["x.test", "192.0.2.1", "[2001:db8::1]"] {
            let context = RedirectContext { host, path: "/", query: None, rest: "" };
            assert_eq!(redirect.location(&context).unwrap(), format!("https://{host}/"));
        }
    }

    /// INTERFACE, "Redirects": `{host}` only where hosts are matched.
    #[test]
    fn mistakes() {
        let exact = MatchSpec { paths: vec!["/a".into()], ..MatchSpec::default() };
        let cases = [
            ("https://{host}{path}", 308, &exact, "redirect.to: `{host}` needs `match.hosts`"),
            ("/b/{rest}", 308, &exact, "redirect.to: `{rest}` needs `match.path_prefixes`"),
            (
                "/b/{res}",
                308,
                &exact,
                "redirect.to: unknown placeholder `{res}`; did you mean `{rest}`?",
            ),
            ("/b/{method}", 308, &exact, "redirect.to: unknown placeholder `{method}`; there are"),
            ("/b", 200, &exact, "redirect.status: a redirect is 301"),
            ("/b", 300, &exact, "redirect.status: a redirect is 301"),
            ("", 308, &old(), "redirect.to: a redirect goes somewhere"),
            ("b", 308, &old(), "redirect.to: it begins with one `/`"),
            ("//b.test/", 308, &old(), "redirect.to: it begins with one `/`"),
            ("{rest}", 308, &old(), "redirect.to: it begins with one `/`"),
            ("{host}/", 308, &old(), "redirect.to: it begins with one `/`"),
            ("javascript:alert(1)", 308, &old(), "redirect.to: it begins with one `/`"),
            ("https:///a", 308, &old(), "redirect.to: the URL has no host"),
            ("https://{path}", 308, &old(), "redirect.to: only `{host}` stands in the host"),
            ("https://y.test{rest}", 308, &old(), "redirect.to: only `{host}` stands in the host"),
            ("https://u@y.test/", 308, &old(), "redirect.to: `u@y.test` is not a host"),
            ("https://y.test:x/", 308, &old(), "redirect.to: `y.test:x` is not a host"),
            ("https://y.test:70000/", 308, &old(), "redirect.to: `y.test:70000` is not a host"),
            ("https://:80/", 308, &old(), "redirect.to: `:80` is not a host"),
            ("https://{host}:/", 308, &old(), "redirect.to: `x.test:` is not a host"),
            ("/a{query}", 308, &old(), "redirect.to: `{query}` stands only after a `?`"),
            ("/a/{host}", 308, &old(), "redirect.to: `{host}` stands only in the host"),
            ("/a#{path}", 308, &old(), "redirect.to: nothing of the request stands after `#`"),
            ("/a/../b", 308, &old(), "redirect.to: it has a dot segment"),
            ("/a\\b", 308, &old(), "redirect.to: '\\\\' may not stand in a URL"),
            ("/a b", 308, &old(), "redirect.to: ' ' may not stand in a URL"),
            ("/a\r\nb", 308, &old(), "redirect.to: '\\r' may not stand in a URL"),
            ("/ü", 308, &old(), "redirect.to: 'ü' may not stand in a URL"),
            ("/%4", 308, &old(), "redirect.to: a `%` is not followed"),
        ];
        for (to, status, matches, expected) in cases {
            let errors = compile(to, status, matches).unwrap_err();
            assert!(errors.len() == 1 && errors[0].starts_with(expected), "{to}: {errors:?}");
        }
        let any = MatchSpec::default();
        assert!(compile("https://y.test/{rest}", 301, &any).is_ok());
    }
}
