//! Where parameters come from, and how they are read there: strictly, each at most once.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;
use serde::de::{Deserializer as _, MapAccess, Visitor};

/// Where a parameter comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The query.
    Query,
    /// A segment of the path.
    Path,
    /// A field of the request.
    Field,
    /// Content of the type `application/x-www-form-urlencoded`.
    Form,
    /// A member of the object that is the content, of the type `application/json`.
    Json,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 5] = [Self::Query, Self::Path, Self::Field, Self::Form, Self::Json];

    /// The word in a placeholder.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Path => "path",
            Self::Field => "field",
            Self::Form => "form",
            Self::Json => "json",
        }
    }

    /// Whether it is read from the content.
    pub const fn is_content(self) -> bool {
        matches!(self, Self::Form | Self::Json)
    }
}

/// A name and a value as they came.
pub(super) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The pairs of a query or a form.
pub(super) fn pairs(text: &str) -> Result<Vec<Pair<'_>>, &'static str> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name, true)?, decoded(value, true)?))
        })
        .collect()
}

/// Without escapes; an escape that is none, or a byte that is no UTF-8, is an error.
pub(super) fn decoded(text: &str, plus_is_space: bool) -> Result<Cow<'_, str>, &'static str> {
    let bytes = text.as_bytes();
    let whole = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(at, _)| {
        bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    });
    if !whole {
        return Err("param_encoding");
    }
    if plus_is_space && text.contains('+') {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| "param_encoding")?;
        return Ok(Cow::Owned(decoded.into_owned()));
    }
    percent_decode_str(text).decode_utf8().map_err(|_| "param_encoding")
}

/// The members of an object: text, numbers and booleans, as they are written.
pub(super) fn members(content: &[u8]) -> Result<Vec<Pair<'_>>, &'static str> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, serde_json::Value)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        // A map would keep the last of two members with one name, and say nothing.
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(member) = map.next_entry()? {
                list.push(member);
            }
            Ok(list)
        }
    }

    let mut reader = serde_json::Deserializer::from_slice(content);
    let members = reader.deserialize_map(Members).map_err(|_| "param_not_json")?;
    reader.end().map_err(|_| "param_not_json")?;
    members
        .into_iter()
        .map(|(name, value)| {
            let value = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Bool(truth) => truth.to_string(),
                _ => return Err("param_not_a_value"),
            };
            Ok((Cow::Owned(name), Cow::Owned(value)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_escape_is_no_value() {
        for bad in ["a=%", "a=%2", "a=%zz", "%gg=1", "a=%ff", "a=%c3%28", "a=%2%35"] {
            assert_eq!(pairs(bad), Err("param_encoding"), "{bad}");
        }
        let found = pairs("&a=1%2B+2&&b&c=").unwrap();
        let found: Vec<_> = found.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(found, [("a", "1+ 2"), ("b", ""), ("c", "")]);
    }

    #[test]
    fn json_is_one_flat_object() {
        let found = members(br#"{"a": 1, "b": "x", "c": true, "a": 2}"#).unwrap();
        let found: Vec<_> = found.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(found, [("a", "1"), ("b", "x"), ("c", "true"), ("a", "2")]);
        for bad in ["", "[]", "1", "{", "{} {}", r#"{"a": null}"#, r#"{"a": []}"#, r#"{"a": {}}"#] {
            assert!(members(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
