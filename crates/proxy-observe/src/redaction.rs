//! `Redaction`: which values of a request no sink shows.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use http::HeaderName;
use percent_encoding::percent_decode_str;

/// What stands in the place of a value.
pub const REDACTED: &str = "[redacted]";

/// Names of query parameters and of fields whose values are not shown. The default hides none.
///
/// ```
/// use proxy_observe::Redaction;
/// let redaction = Redaction::new(["token"], []);
/// assert_eq!(redaction.query("a=1&token=s3cret"), "a=1&token=[redacted]");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    names: Option<Arc<Names>>,
}

#[derive(Debug)]
struct Names {
    /// In lower case, sorted.
    query: Vec<String>,
    /// Whatever the parameter is called, or if it has no name.
    whole_query: bool,
    fields: Vec<HeaderName>,
}

impl Redaction {
    /// Hides the values of these query parameters, in any case and however they are escaped, and
    /// of these fields. The parameter `*` is all of them.
    pub fn new<'a>(
        query: impl IntoIterator<Item = &'a str>,
        fields: impl IntoIterator<Item = HeaderName>,
    ) -> Self {
        let mut query: Vec<String> = query.into_iter().map(str::to_lowercase).collect();
        query.sort_unstable();
        let whole_query = query.iter().any(|name| name == "*");
        let fields: Vec<HeaderName> = fields.into_iter().collect();
        if query.is_empty() && fields.is_empty() {
            return Self::default();
        }
        Self { names: Some(Arc::new(Names { query, whole_query, fields })) }
    }

    /// A query as it may be shown.
    pub fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        let Some(names) = &self.names else { return Cow::Borrowed(query) };
        let hidden = |part| names.hidden(part);
        if !query.split(['&', ';']).any(|part| hidden(part).is_some()) {
            return Cow::Borrowed(query);
        }
        let mut shown = String::with_capacity(query.len());
        for part in query.split_inclusive(['&', ';']) {
            let (bare, end) = match part.strip_suffix(['&', ';']) {
                Some(bare) => (bare, &part[bare.len()..]),
                None => (part, ""),
            };
            let _ = match hidden(bare) {
                None => write!(shown, "{part}"),
                Some(Some(name)) => write!(shown, "{name}={REDACTED}{end}"),
                Some(None) => write!(shown, "{REDACTED}{end}"),
            };
        }
        Cow::Owned(shown)
    }

    /// The same of a reference that has a query somewhere: `Referer`. What is no UTF-8 and has a
    /// query is hidden from there on.
    pub fn reference<'a>(&self, reference: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(at) = reference.iter().position(|b| *b == b'?') else {
            return Cow::Borrowed(reference);
        };
        if self.names.as_ref().is_none_or(|names| names.query.is_empty()) {
            return Cow::Borrowed(reference);
        }
        let (path, query) = reference.split_at(at + 1);
        let shown = match std::str::from_utf8(query) {
            Ok(query) => match query.split_once('#') {
                None => self.query(query),
                Some((query, fragment)) => format!("{}#{fragment}", self.query(query)).into(),
            },
            Err(_) => Cow::Borrowed(REDACTED),
        };
        Cow::Owned([path, shown.as_bytes()].concat())
    }

    /// Whether a field's value is hidden.
    pub fn hides_field(&self, name: &HeaderName) -> bool {
        self.names.as_ref().is_some_and(|names| names.fields.contains(name))
    }
}

impl Names {
    /// Whether a part of a query is hidden, and the name that stays, where it has one.
    fn hidden<'a>(&self, part: &'a str) -> Option<Option<&'a str>> {
        match part.split_once('=') {
            Some((name, value)) => {
                (!value.is_empty() && self.hide_parameter(name)).then_some(Some(name))
            }
            None => (self.whole_query && !part.is_empty()).then_some(None),
        }
    }

    fn hide_parameter(&self, name: &str) -> bool {
        if self.whole_query {
            return true;
        }
        let name = name.replace('+', " ");
        let name = percent_decode_str(&name).decode_utf8_lossy().to_lowercase();
        self.query.binary_search(&name).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_by_name() {
        let some = Redaction::new(["token", "Api Key"], []);
        for (query, shown) in [
            ("", ""),
            ("a=1&b=2", "a=1&b=2"),
            ("token=x", "token=[redacted]"),
            ("a=1&token=x;b=2", "a=1&token=[redacted];b=2"),
            (
                "TOKEN=x&%74oken=y&t%6Fken=z",
                "TOKEN=[redacted]&%74oken=[redacted]&t%6Fken=[redacted]",
            ),
            ("api+key=x&api%20key=y", "api+key=[redacted]&api%20key=[redacted]"),
            ("token=a=b", "token=[redacted]"),
            ("token&token=", "token&token="),
            ("tokens=1&&=", "tokens=1&&="),
        ] {
            assert_eq!(some.query(query), shown, "{query}");
            assert_eq!(Redaction::default().query(query), query);
        }
        let all = Redaction::new(["*"], []);
        assert_eq!(all.query("a=1&s3cret&b="), "a=[redacted]&[redacted]&b=");
    }

    #[test]
    fn a_reference_is_hidden_in_its_query() {
        let some = Redaction::new(["token"], [HeaderName::from_static("cookie")]);
        for (reference, shown) in [
            (&b"http://a.test/token=1"[..], &b"http://a.test/token=1"[..]),
            (b"http://a.test/?token=1&b=2#f", b"http://a.test/?token=[redacted]&b=2#f"),
            (b"/?a=\xff&token=1", b"/?[redacted]"),
        ] {
            assert_eq!(&*some.reference(reference), shown);
        }
        assert!(some.hides_field(&http::header::COOKIE));
        assert!(!some.hides_field(&http::header::REFERER));
    }
}
