//! A condition on a field or a query parameter.
//!
//! Of several values under one name, one is enough. Query parameters are compared decoded (`%`
//! escapes, `+` as a space), field values byte for byte; expressions match whole values. Nothing
//! allocates, but for an expression on a query value that has escapes.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use regex::bytes;

use super::{anchored, path};
use crate::fields::cookies;

/// What a value must be.
#[derive(Debug)]
pub enum ValueTest {
    /// Exactly this.
    Exact(Box<[u8]>),
    /// What this expression matches.
    Regex(bytes::Regex),
    /// `true`: there, with whatever value; `false`: not there.
    Present(bool),
}

impl ValueTest {
    /// Exactly this text.
    pub fn exact(value: &str) -> Self {
        Self::Exact(value.as_bytes().into())
    }

    /// A whole value that this expression matches.
    ///
    /// # Errors
    /// Those of the expression.
    pub fn regex(pattern: &str) -> Result<Self, regex::Error> {
        anchored(pattern, bytes::Regex::new).map(Self::Regex)
    }

    /// Whether it holds for a field.
    pub fn holds_for_field(&self, name: &HeaderName, fields: &HeaderMap) -> bool {
        self.holds_for(fields.get_all(name).iter().map(HeaderValue::as_bytes))
    }

    /// Whether it holds for a cookie.
    pub fn holds_for_cookie(&self, name: &str, fields: &HeaderMap) -> bool {
        self.holds_for(cookies(fields, name))
    }

    fn holds_for<'a>(&self, mut values: impl Iterator<Item = &'a [u8]>) -> bool {
        match self {
            Self::Exact(exact) => values.any(|value| value == &**exact),
            Self::Regex(regex) => values.any(|value| regex.is_match(value)),
            Self::Present(present) => values.next().is_some() == *present,
        }
    }

    /// Whether it holds for a parameter of a query.
    pub fn holds_for_parameter(&self, name: &str, query: Option<&str>) -> bool {
        let mut values = parameters(query)
            .filter(|(key, _)| decoded(key).eq(name.bytes()))
            .map(|(_, value)| value);
        match self {
            Self::Exact(exact) => values.any(|value| decoded(value).eq(exact.iter().copied())),
            Self::Regex(regex) => values.any(|value| regex.is_match(&decoded_value(value))),
            Self::Present(present) => values.next().is_some() == *present,
        }
    }
}

/// The names and values of a query, still encoded.
fn parameters(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The bytes that a part of a query stands for. A `%` that begins no escape stands for itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        let escaped = if byte == b'%' { path::escaped_at(bytes, at) } else { None };
        at += if escaped.is_some() { 3 } else { 1 };
        Some(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }))
    })
}

fn decoded_value(text: &str) -> Cow<'_, [u8]> {
    if text.contains(['%', '+']) {
        Cow::Owned(decoded(text).collect())
    } else {
        Cow::Borrowed(text.as_bytes())
    }
}
