//! `No-Vary-Search` (draft-ietf-httpbis-no-vary-search): which differences between two queries
//! make no difference to the response.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// The name of the field.
pub const NO_VARY_SEARCH: HeaderName = HeaderName::from_static("no-vary-search");

/// What the field says. There is one only where it says something; see [`parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoVarySearch {
    ignores_order: bool,
    params: Params,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Params {
    /// All count but these.
    AllBut(Vec<String>),
    /// These count and no others.
    Only(Vec<String>),
}

/// Reads the field. None where it is absent or invalid, or leaves every difference to count.
pub fn parse(response: &HeaderMap) -> Option<NoVarySearch> {
    let lines: Vec<_> =
        response.get_all(NO_VARY_SEARCH).iter().map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return None;
    }
    let dictionary: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
    let ignores_order = match dictionary.get("key-order") {
        Some(member) => boolean(member)?,
        None => false,
    };
    let except = dictionary.get("except");
    let params = match dictionary.get("params") {
        Some(member) if boolean(member) == Some(true) => {
            Params::Only(except.map_or(Some(Vec::new()), strings)?)
        }
        // `except` is an exception to `params=?1` and nothing else.
        _ if except.is_some() => return None,
        Some(member) if boolean(member) == Some(false) => Params::AllBut(Vec::new()),
        Some(member) => Params::AllBut(strings(member)?),
        None => Params::AllBut(Vec::new()),
    };
    let says_something = ignores_order || params != Params::AllBut(Vec::new());
    says_something.then_some(NoVarySearch { ignores_order, params })
}

fn boolean(member: &ListEntry) -> Option<bool> {
    match member {
        ListEntry::Item(item) => item.bare_item.as_boolean(),
        ListEntry::InnerList(_) => None,
    }
}

/// The Strings of an Inner List, decoded as names in a query are.
fn strings(member: &ListEntry) -> Option<Vec<String>> {
    match member {
        ListEntry::InnerList(list) => list
            .items
            .iter()
            .map(|item| match &item.bare_item {
                BareItem::String(name) => Some(decode(name.as_str()).into_owned()),
                _ => None,
            })
            .collect(),
        ListEntry::Item(_) => None,
    }
}

/// A part of `application/x-www-form-urlencoded`, decoded (URL Standard section 5.1).
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(&spaced).collect();
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

impl NoVarySearch {
    /// Whether two queries, without their `?`, ask for the same.
    pub fn equivalent(&self, one: Option<&str>, other: Option<&str>) -> bool {
        one == other || self.counting(one) == self.counting(other)
    }

    /// A query that is equal for all equivalent ones, as part of a key: its parameters that count,
    /// decoded and encoded anew, sorted where their order does not count.
    pub fn canonical(&self, query: Option<&str>) -> String {
        const ALL: &percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC;
        let mut text = String::new();
        for (i, (name, value)) in self.counting(query).iter().enumerate() {
            if i > 0 {
                text.push('&');
            }
            text.extend(percent_encoding::utf8_percent_encode(name, ALL));
            text.push('=');
            text.extend(percent_encoding::utf8_percent_encode(value, ALL));
        }
        text
    }

    /// The parameters that count.
    fn counting<'a>(&self, query: Option<&'a str>) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        let mut params: Vec<_> = query
            .unwrap_or_default()
            .split('&')
            .filter(|param| !param.is_empty())
            .map(|param| param.split_once('=').unwrap_or((param, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .filter(|(name, _)| self.counts(name))
            .collect();
        if self.ignores_order {
            // Stable: the values of one name keep their order.
            params.sort_by(|a, b| a.0.cmp(&b.0));
        }
        params
    }

    fn counts(&self, name: &str) -> bool {
        match &self.params {
            Params::AllBut(names) => !names.iter().any(|known| known == name),
            Params::Only(names) => names.iter().any(|known| known == name),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(value: &str) -> Option<NoVarySearch> {
        let value = HeaderValue::from_str(value).unwrap();
        parse(&HeaderMap::from_iter([(NO_VARY_SEARCH, value)]))
    }

    #[test]
    fn invalid_fields_say_nothing() {
        for value in [
            "",
            "key-order=?0",
            "params=?0",
            "params=()",
            "key-order=1",
            "key-order=(\"a\")",
            "params=a",
            "params=(a)",
            "params=(\"a\" 1)",
            "params=\"a\"",
            "params=(\"a\"), except=(\"b\")", // `except` belongs to `params`
            "except=(\"b\")",
            "params, except=\"b\"",
            "params, except=(b)",
            "params, key-order=x",
            "params,",
            "Params",
        ] {
            assert_eq!(field(value), None, "{value}");
        }
        assert_eq!(parse(&HeaderMap::new()), None);
        assert!(field("unknown=7, params").is_some());
    }

    #[test]
    fn queries_are_compared() {
        const CASES: &[(&str, &str, &str, bool)] = &[
            ("params", "a=1&b=2", "", true),
            ("params", "a=1", "a=2&c", true),
            ("params, except=(\"a\")", "a=1&b=2", "b=3&a=1", true),
            ("params, except=(\"a\")", "a=1", "a=2", false),
            ("params=(\"utm\")", "a=1&utm=x", "a=1", true),
            ("params=(\"utm\")", "a=1&utm=x", "utm=y&a=1&utm=z", true),
            ("params=(\"utm\")", "a=1", "a=2", false),
            ("params=(\"utm\")", "a=1&b=2", "b=2&a=1", false),
            ("params=(\"utm\"), key-order", "a=1&b=2", "b=2&utm&a=1", true),
            ("key-order", "a=1&b=2&a=3", "b=2&a=1&a=3", true),
            ("key-order", "a=1&a=3", "a=3&a=1", false),
            ("key-order", "a=%31&b+c", "b%20c=&a=1", true),
            ("key-order", "A=1", "a=1", false),
            ("key-order", "&&a=1&", "a=1", true),
            ("params=(\"a b\")", "a+b=1", "a%20b=2", true),
            ("params=(\"%C3%BC\")", "%c3%bc=1", "", true),
            ("params=(\"a+b\")", "a%20b=1", "", true),
        ];
        for (value, one, other, want) in CASES {
            let rules = field(value).unwrap();
            assert_eq!(rules.equivalent(Some(one), Some(other)), *want, "{value}: {one} {other}");
            let equal = rules.canonical(Some(one)) == rules.canonical(Some(other));
            assert_eq!(equal, *want, "{value}: {one} {other}");
        }
        let rules = field("params").unwrap();
        assert!(rules.equivalent(None, Some("a")) && rules.equivalent(None, Some("")));
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in "[ -~]{0,60}", query in "\\PC{0,40}") {
            if let Some(rules) = field(&value) {
                let _ = rules.canonical(Some(&query));
            }
        }

        #[test]
        fn the_canonical_query_is_equivalent(
            query in "([a-c]?(=|%3[0-9]|\\+|%zz)?[0-9]?&?){0,6}",
            value in prop::sample::select(vec![
                "key-order",
                "params=(\"a\")",
                "params, except=(\"a\" \"b\"), key-order",
            ]),
        ) {
            let rules = field(value).unwrap();
            let canonical = rules.canonical(Some(&query));
            prop_assert!(rules.equivalent(Some(&query), Some(&canonical)), "{canonical}");
            prop_assert_eq!(rules.canonical(Some(&canonical)), canonical);
        }
    }
}
