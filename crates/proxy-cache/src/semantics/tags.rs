//! Names that an origin gives its responses so that they can be purged together: `Cache-Tag`,
//! `Surrogate-Key` and whatever else is configured. No RFC defines them; a list in commas, but for
//! `Surrogate-Key` and `xkey`, whose names stand between spaces.

use http::{HeaderMap, HeaderName};

use super::lists;

/// The most tags of one response.
pub const TAGS_LIMIT: usize = 1000;

/// The longest tag, in bytes.
pub const TAG_LENGTH_LIMIT: usize = 1024;

/// The tags of a response, each once, in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// The tags. Case matters.
    pub tags: Vec<Box<str>>,
    /// Whether some were left out: beyond [`TAGS_LIMIT`], longer than [`TAG_LENGTH_LIMIT`], or not
    /// of visible ASCII characters. A purge by those does not find the response.
    pub incomplete: bool,
}

/// Reads the tags in these fields.
pub fn parse(response: &HeaderMap, names: &[HeaderName]) -> Tags {
    let mut found = Tags::default();
    let mut known = std::collections::HashSet::new();
    for name in names {
        let spaced = matches!(name.as_str(), "surrogate-key" | "xkey");
        for line in response.get_all(name) {
            let line = line.as_bytes();
            let is_separator = |b: &u8| if spaced { matches!(b, b' ' | b'\t') } else { *b == b',' };
            for tag in line.split(is_separator).map(lists::trim).filter(|tag| !tag.is_empty()) {
                if known.contains(tag) {
                    continue;
                }
                let readable = tag.iter().all(|b| matches!(b, b' '..=b'~'));
                match std::str::from_utf8(tag) {
                    Ok(text)
                        if readable
                            && tag.len() <= TAG_LENGTH_LIMIT
                            && known.len() < TAGS_LIMIT =>
                    {
                        known.insert(tag);
                        found.tags.push(text.into());
                    }
                    _ => found.incomplete = true,
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const NAMES: [HeaderName; 2] =
        [HeaderName::from_static("cache-tag"), HeaderName::from_static("surrogate-key")];

    fn tags(lines: &[(&'static str, &str)]) -> Tags {
        let headers = lines
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                (HeaderName::from_static(name), value)
            })
            .collect();
        parse(&headers, &NAMES)
    }

    #[test]
    fn tags_are_split() {
        type Lines = &'static [(&'static str, &'static str)];
        const CASES: &[(Lines, &[&str], bool)] = &[
            (&[], &[], false),
            (&[("cache-tag", "a, b ,c d,,a")], &["a", "b", "c d"], false),
            (&[("surrogate-key", "a b  a\tc,d")], &["a", "b", "c,d"], false),
            (
                &[("cache-tag", "a"), ("cache-tag", "A"), ("surrogate-key", "a b")],
                &["a", "A", "b"],
                false,
            ),
            (&[("other", "a")], &[], false),
            (&[("cache-tag", "a, \u{fc}")], &["a"], true),
        ];
        for (lines, want, incomplete) in CASES {
            let found = tags(lines);
            assert_eq!(found.tags.iter().map(|t| &**t).collect::<Vec<_>>(), *want, "{lines:?}");
            assert_eq!(found.incomplete, *incomplete, "{lines:?}");
        }
    }

    #[test]
    fn bounds_hold() {
        let many = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
        assert!(!tags(&[("cache-tag", &many(TAGS_LIMIT))]).incomplete);
        let found = tags(&[("cache-tag", &many(TAGS_LIMIT + 1))]);
        assert!(found.incomplete && found.tags.len() == TAGS_LIMIT);
        assert!(!tags(&[("cache-tag", &"a".repeat(TAG_LENGTH_LIMIT))]).incomplete);
        assert!(tags(&[("cache-tag", &"a".repeat(TAG_LENGTH_LIMIT + 1))]).incomplete);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(names in prop::collection::hash_set("[!-+.-~]{1,8}", 0..20)) {
            let names: Vec<_> = names.into_iter().collect();
            let found = tags(&[("cache-tag", &names.join(", "))]).tags;
            prop_assert_eq!(found.into_iter().map(String::from).collect::<Vec<_>>(), names);
        }

        #[test]
        fn no_value_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let _ = parse(&HeaderMap::from_iter([(NAMES[0].clone(), value)]), &NAMES);
            }
        }
    }
}
