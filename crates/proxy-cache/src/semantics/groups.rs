//! Groups of stored responses that are invalidated together (RFC 9875). They are per origin: the
//! same name elsewhere is another group.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sfv::{BareItem, List, ListEntry, Parser};

/// `Cache-Groups`: the groups a response is in (section 2).
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// `Cache-Group-Invalidation`: the groups that the answer to an unsafe request makes invalid
/// (section 3).
pub const CACHE_GROUP_INVALIDATION: HeaderName =
    HeaderName::from_static("cache-group-invalidation");

/// The most groups of one field, more than the RFC asks for; the first so many count.
pub const GROUPS_LIMIT: usize = 256;

/// The longest name of a group, in bytes, more than the RFC asks for; longer ones are left out.
pub const GROUP_LENGTH_LIMIT: usize = 256;

/// The groups a response is in, each once.
pub fn groups(response: &HeaderMap) -> Vec<String> {
    parse(response, &CACHE_GROUPS)
}

/// The groups that an answer makes invalid; none for a safe method (section 3).
pub fn invalidated(method: &Method, response: &HeaderMap) -> Vec<String> {
    if super::invalidation::is_safe(method) {
        Vec::new()
    } else {
        parse(response, &CACHE_GROUP_INVALIDATION)
    }
}

/// A List of Strings; anything else in it makes it invalid as a whole. Parameters mean nothing.
fn parse(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    let Ok(list) = Parser::new(&lines.join(&b", "[..])).parse::<List>() else {
        return Vec::new();
    };
    let mut names: Vec<String> = Vec::new();
    for member in &list {
        let ListEntry::Item(item) = member else { return Vec::new() };
        let BareItem::String(name) = &item.bare_item else { return Vec::new() };
        let name = name.as_str();
        if name.len() <= GROUP_LENGTH_LIMIT
            && names.len() < GROUPS_LIMIT
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_str(line).unwrap())).collect()
    }

    #[test]
    fn groups_are_a_list_of_strings() {
        const CASES: &[(&[&str], &[&str])] = &[
            (&[], &[]),
            (&["\"scripts\""], &["scripts"]), // RFC 9875 2
            (&["\"a\", \"B c\";x=1, \"a\""], &["a", "B c"]),
            (&["\"a\"", "\"b\""], &["a", "b"]),
            (&["\"a\", b"], &[]), // a Token: invalid as a whole
            (&["\"a\", (\"b\")"], &[]),
            (&["\"a\", "], &[]),
            (&["\"a"], &[]),
            (&[""], &[]),
        ];
        for (lines, want) in CASES {
            assert_eq!(groups(&fields(&CACHE_GROUPS, lines)), *want, "{lines:?}");
        }
    }

    #[test]
    fn bounds_hold() {
        let list = |n: usize| (0..n).map(|i| format!("\"{i}\"")).collect::<Vec<_>>().join(",");
        assert_eq!(groups(&fields(&CACHE_GROUPS, &[&list(256)])).len(), 256);
        assert_eq!(groups(&fields(&CACHE_GROUPS, &[&list(257)])).len(), 256);
        let (long, longer) = ("a".repeat(256), "b".repeat(257));
        let found = groups(&fields(&CACHE_GROUPS, &[&format!("\"{long}\", \"{longer}\"")]));
        assert_eq!(found, [long]);
    }

    #[test]
    fn only_unsafe_methods_invalidate_groups() {
        let headers = fields(&CACHE_GROUP_INVALIDATION, &["\"a\""]);
        assert_eq!(invalidated(&Method::POST, &headers), ["a"]); // RFC 9875 3
        assert_eq!(invalidated(&Method::GET, &headers), [""; 0]);
        assert_eq!(groups(&headers), [""; 0]);
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in "[ -~]{0,60}") {
            let _ = groups(&fields(&CACHE_GROUPS, &[&value]));
        }
    }
}
