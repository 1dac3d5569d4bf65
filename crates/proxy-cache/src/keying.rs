//! What makes two requests the same: the key policy.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Method, Uri, header};

use crate::store::{KeyHash, KeyText};

/// The scheme that a server of ours tells upstream.
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host that it tells.
pub(crate) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How a key is made of a request: always its space, scheme, authority and target; which parts of
/// the query count, and which fields, is said here.
#[derive(Clone, Debug, Default)]
pub struct Keying {
    /// What sets these exchanges apart from all others in the same store: the role and the route.
    pub space: Box<str>,
    /// The scheme of requests that name none. Default: `http`.
    pub scheme: Option<Box<str>>,
    /// Which parameters of the query count.
    pub query: QueryRule,
    /// Whether parameters are sorted by name, so that their order does not count.
    pub sort_query: bool,
    /// Fields whose values are part of the key.
    pub fields: Vec<HeaderName>,
}

/// Which parameters of a query are part of the key. The request upstream keeps all of them.
#[derive(Clone, Debug, Default)]
pub enum QueryRule {
    /// All.
    #[default]
    All,
    /// These names only.
    Allow(Vec<Box<str>>),
    /// All but these names; a name that ends with `*` stands for all that begin so.
    Deny(Vec<Box<str>>),
}

/// The parts of a request's key, borrowed from it where possible.
#[derive(Clone, Debug)]
pub(crate) struct KeyParts<'a> {
    pub(crate) space: &'a str,
    pub(crate) scheme: &'a str,
    pub(crate) authority: Cow<'a, str>,
    pub(crate) target: Cow<'a, str>,
    pub(crate) extra: Cow<'a, str>,
}

impl KeyParts<'_> {
    /// The key of a QUERY with this content (RFC 10008 section 2.7).
    pub(crate) fn with_content(mut self, fields: &HeaderMap, content: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
            for value in fields.get_all(name) {
                hasher.update(value.as_bytes());
            }
            hasher.update(b"\n");
        }
        let hash = hasher.update(content).finalize().to_hex();
        self.extra = format!("{}QUERY {hash}", self.extra).into();
        self
    }

    pub(crate) fn hash(&self) -> KeyHash {
        KeyHash::of([self.space, self.scheme, &self.authority, &self.target, &self.extra])
    }

    pub(crate) fn text(&self) -> KeyText {
        KeyText {
            space: self.space.into(),
            scheme: self.scheme.into(),
            authority: (*self.authority).into(),
            target: (*self.target).into(),
            extra: (*self.extra).into(),
        }
    }
}

impl Keying {
    /// The parts of a request's key; `None` where it has no authority.
    pub(crate) fn parts<'a>(
        &'a self,
        target: &'a Uri,
        fields: &'a HeaderMap,
        scheme: Option<&'a str>,
    ) -> Option<KeyParts<'a>> {
        let authority = match target.authority() {
            Some(authority) => authority.as_str(),
            None => fields.get(header::HOST)?.to_str().ok()?,
        };
        if authority.is_empty() {
            return None;
        }
        // What our own server believes of a trusted proxy in front, and tells upstream.
        let believed = scheme.and_then(|_| match fields.get(&FORWARDED_PROTO)?.as_bytes() {
            b"http" => Some("http"),
            b"https" => Some("https"),
            _ => None,
        });
        let named = target.scheme_str();
        let scheme = named.or(believed).or(scheme).or(self.scheme.as_deref()).unwrap_or("http");
        Some(KeyParts {
            space: &self.space,
            scheme,
            authority: plain_authority(authority, scheme),
            target: self.target(target),
            extra: self.extra(fields, authority),
        })
    }

    fn target<'a>(&self, target: &'a Uri) -> Cow<'a, str> {
        let whole = target.path_and_query().map_or("/", |target| target.as_str());
        let whole = if whole.is_empty() { "/" } else { whole };
        let Some((path, query)) = whole.split_once('?') else { return whole.into() };
        if !self.sort_query && matches!(self.query, QueryRule::All) {
            return whole.into();
        }
        let mut kept: Vec<&str> =
            query.split('&').filter(|parameter| self.query.keeps(parameter)).collect();
        if self.sort_query {
            // Stable: of two with one name the order may matter to the origin.
            kept.sort_by_key(|parameter| parameter.split('=').next());
        }
        if kept.is_empty() {
            return path.into();
        }
        format!("{path}?{}", kept.join("&")).into()
    }

    /// What of the fields is in the key. A host that our server tells upstream, and that is not the
    /// one asked for, is: without a server of ours the field is not sent.
    fn extra<'a>(&self, fields: &HeaderMap, authority: &str) -> Cow<'a, str> {
        let mut extra = String::new();
        let told = fields.get(&FORWARDED_HOST);
        let told = told.filter(|told| !told.as_bytes().eq_ignore_ascii_case(authority.as_bytes()));
        let told = told.map(|_| FORWARDED_HOST);
        for name in self.fields.iter().chain(&told) {
            extra.push_str(name.as_str());
            for value in fields.get_all(name) {
                extra.push('=');
                // Bytes that are no text stay apart from each other.
                for byte in value.as_bytes() {
                    match byte {
                        b'=' | b'\n' | b'%' | 0x80.. => extra.push_str(&format!("%{byte:02x}")),
                        _ => extra.push(char::from(*byte)),
                    }
                }
            }
            extra.push('\n');
        }
        extra.into()
    }
}

impl QueryRule {
    fn keeps(&self, parameter: &str) -> bool {
        // Some origins see two parameters where we see one: such a one counts whatever it is
        // called (parameter cloaking).
        if parameter.contains(';') {
            return true;
        }
        let name = parameter.split('=').next().unwrap_or(parameter);
        let name = name.replace('+', " ");
        let name = percent_encoding::percent_decode_str(&name).decode_utf8_lossy();
        match self {
            Self::All => true,
            Self::Allow(names) => names.iter().any(|allowed| **allowed == *name),
            Self::Deny(names) => !names.iter().any(|denied| match denied.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => **denied == *name,
            }),
        }
    }
}

/// In lower case, without user information and without the scheme's own port.
pub(crate) fn plain_authority<'a>(authority: &'a str, scheme: &str) -> Cow<'a, str> {
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let own_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let host = match host.strip_suffix(own_port) {
        Some(bare) if !own_port.is_empty() => bare,
        _ => host.strip_suffix(':').unwrap_or(host),
    };
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        host.to_ascii_lowercase().into()
    } else {
        host.into()
    }
}

/// Whether a method's responses may be found in the cache.
pub(crate) fn is_looked_up(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD || method.as_str() == "QUERY"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(keying: &Keying, uri: &str) -> String {
        let uri: Uri = uri.parse().expect("a target");
        let fields = HeaderMap::from_iter([(header::HOST, "a.test".parse().expect("a value"))]);
        keying.parts(&uri, &fields, None).expect("a key").target.into_owned()
    }

    #[test]
    fn the_authority_has_one_spelling() {
        for (authority, scheme, plain) in [
            ("A.Test", "http", "a.test"),
            ("a.test:80", "http", "a.test"),
            ("a.test:", "http", "a.test"),
            ("a.test:443", "http", "a.test:443"),
            ("a.test:443", "https", "a.test"),
            ("u:p@a.test", "http", "a.test"),
            ("[::1]:80", "http", "[::1]"),
        ] {
            assert_eq!(plain_authority(authority, scheme), plain, "{authority}");
        }
    }

    #[test]
    fn the_query_counts_as_it_is_told() {
        let all = Keying::default();
        assert_eq!(target(&all, "/a?b=1&a=2"), "/a?b=1&a=2");
        let allow = Keying { query: QueryRule::Allow(vec!["b".into()]), ..Keying::default() };
        assert_eq!(target(&allow, "/a?b=1&a=2&b"), "/a?b=1&b");
        let deny = Keying {
            query: QueryRule::Deny(vec!["utm_*".into(), "x".into()]),
            sort_query: true,
            ..Keying::default()
        };
        assert_eq!(target(&deny, "/a?utm_a=1&z=2&x=3&b=4&b=3"), "/a?b=4&b=3&z=2");
        assert_eq!(target(&deny, "/a?x=3"), "/a");
        // Parameter cloaking: what an origin may take for another parameter counts.
        assert_eq!(target(&deny, "/a?utm_a=1;id=evil"), "/a?utm_a=1;id=evil");
        assert_eq!(target(&allow, "/a?%62=evil"), "/a?%62=evil");
        assert_eq!(target(&deny, "/a?%78=3"), "/a");
    }

    #[test]
    fn a_request_without_authority_has_no_key() {
        assert!(
            Keying::default().parts(&Uri::from_static("/a"), &HeaderMap::new(), None).is_none()
        );
    }
}
