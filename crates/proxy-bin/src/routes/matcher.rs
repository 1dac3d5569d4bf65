//! What a request must be for a route to match.
//!
//! | kind | holds when |
//! |---|---|
//! | listeners | the request came in on one of them |
//! | paths, path_prefixes, path_regex | one of them takes in the whole path; prefixes take in whole segments, the expression is anchored at both ends |
//! | methods | the method is one of them, exactly: a route for `GET` does not match `HEAD` |
//! | schemes | the client's scheme is one of them |
//! | hosts | one pattern of [`proxy_core::names`] matches the host |
//! | fields | each named field is as it must be; of several field lines, one is enough |
//! | query | each named parameter is as it must be; of several values, one is enough |
//!
//! All kinds that are given must hold. Query parameters are compared decoded (`%` escapes, `+` as
//! a space), field values byte for byte; expressions match whole values. Nothing allocates, with
//! one exception: an expression on a query value that has escapes.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Method};
use proxy_core::names::{NamePattern, NameSet};
use regex::{Regex, bytes};

use crate::config::suggest::nearest;

use super::error::Problems;
use super::fields::is_hop_by_hop;
use super::gate::HostBits;
use super::path::{self, Prefix};
use super::spec::{MatchSpec, ValueSpec};
use super::table::RouteQuery;

/// From how many host patterns on a set is faster than one after the other.
const MANY_HOSTS: usize = 8;

/// The compiled conditions of one route.
#[derive(Debug)]
pub struct Matcher {
    listeners: Box<[Box<str>]>,
    path: PathRule,
    methods: Box<[Method]>,
    schemes: Box<[&'static str]>,
    hosts: HostRule,
    host_bits: HostBits,
    fields: Box<[(HeaderName, ValueTest)]>,
    query: Box<[(Box<str>, ValueTest)]>,
}

/// How a request fares with one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit<'q> {
    /// All holds; this follows the matched prefix, without the slash between.
    Full(&'q str),
    /// The path fits and the method does not. Whether the rest holds was not asked.
    OtherMethod,
    /// It does not match.
    None,
}

impl Matcher {
    pub(super) fn compile(
        listeners: Option<&[String]>,
        spec: &MatchSpec,
        problems: &mut Problems<'_>,
    ) -> Self {
        if listeners.is_some_and(<[String]>::is_empty) {
            problems.add("listeners", "an empty list matches nothing; leave it out for all");
        }
        let (hosts, host_bits) = HostRule::compile(&spec.hosts, problems);
        Self {
            listeners: listeners
                .unwrap_or_default()
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            path: PathRule::compile(spec, problems),
            methods: methods(&spec.methods, problems),
            schemes: schemes(&spec.schemes, problems),
            hosts,
            host_bits,
            fields: fields(&spec.fields, problems),
            query: query(&spec.query, problems),
        }
    }

    /// Judges everything, the cheap conditions first.
    pub(super) fn fit<'q>(&self, query: &RouteQuery<'q>) -> Fit<'q> {
        let Some(rest) = self.path.rest(query.path) else {
            return Fit::None;
        };
        if !self.takes_method(query.method) {
            return Fit::OtherMethod;
        }
        if self.holds_beside_path_and_method(query) { Fit::Full(rest) } else { Fit::None }
    }

    /// Whether all that [`fit`](Self::fit) leaves open after [`Fit::OtherMethod`] holds.
    pub(super) fn holds_beside_path_and_method(&self, query: &RouteQuery<'_>) -> bool {
        (self.listeners.is_empty() || self.listeners.iter().any(|name| **name == *query.listener))
            && (self.schemes.is_empty()
                || self.schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case(query.scheme)))
            && self.hosts.holds(query.host)
            && self.fields.iter().all(|(name, test)| test.holds_for_field(name, query.fields))
            && self.query.iter().all(|(name, test)| test.holds_for_parameter(name, query.query))
    }

    fn takes_method(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }

    /// The methods it is narrowed to; empty for all.
    #[must_use]
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// Whether hosts are matched, so that `{host}` is one that the operator named.
    #[must_use]
    pub fn names_hosts(&self) -> bool {
        !matches!(self.hosts, HostRule::Any)
    }

    /// Whether every request matches.
    #[must_use]
    pub fn is_catch_all(&self) -> bool {
        self.listeners.is_empty()
            && self.path.takes_all()
            && self.methods.is_empty()
            && self.schemes.is_empty()
            && !self.names_hosts()
            && self.fields.is_empty()
            && self.query.is_empty()
    }

    pub(super) fn host_bits(&self) -> HostBits {
        self.host_bits
    }

    pub(super) fn path(&self) -> &PathRule {
        &self.path
    }
}

/// The condition on the path.
#[derive(Debug)]
pub(super) struct PathRule {
    any: bool,
    /// Sorted.
    exact: Box<[String]>,
    /// Longest first, so that `{rest}` is what follows the longest.
    prefixes: Box<[Prefix]>,
    regex: Option<Regex>,
}

impl PathRule {
    fn compile(spec: &MatchSpec, problems: &mut Problems<'_>) -> Self {
        let any =
            spec.paths.is_empty() && spec.path_prefixes.is_empty() && spec.path_regex.is_none();
        let mut exact = Vec::new();
        for (at, text) in spec.paths.iter().enumerate() {
            let key = format!("match.paths[{at}]");
            exact.extend(problems.take(&key, explained(text, path::configured(text))));
        }
        exact.sort_unstable();
        let mut prefixes: Vec<Prefix> = Vec::new();
        for (at, text) in spec.path_prefixes.iter().enumerate() {
            let key = format!("match.path_prefixes[{at}]");
            prefixes.extend(problems.take(&key, explained(text, text.parse())));
        }
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.as_str().len()));
        let regex = spec.path_regex.as_deref().and_then(|pattern| {
            let regex = anchored(pattern, Regex::new);
            problems.take("match.path_regex", regex)
        });
        Self { any, exact: exact.into(), prefixes: prefixes.into(), regex }
    }

    /// What follows the matched prefix, where the path matches. Without any condition the prefix
    /// is `/`; for a whole path and for an expression nothing follows.
    fn rest<'q>(&self, path: &'q str) -> Option<&'q str> {
        if self.any {
            return Some(path.strip_prefix('/').unwrap_or_default());
        }
        if let Some(tail) = self.prefixes.iter().find_map(|prefix| prefix.tail(path)) {
            return Some(tail.strip_prefix('/').unwrap_or_default());
        }
        let found = self.exact.binary_search_by(|exact| exact.as_str().cmp(path)).is_ok()
            || self.regex.as_ref().is_some_and(|regex| regex.is_match(path));
        found.then_some("")
    }

    fn takes_all(&self) -> bool {
        self.any || self.prefixes.iter().any(|prefix| prefix.as_str().is_empty())
    }

    /// Whether `{rest}` can be something.
    pub(super) fn has_rest(&self) -> bool {
        self.any || !self.prefixes.is_empty()
    }

    /// What every path that matches begins with, as far as that is known without the expression:
    /// one of these. `None`: anything.
    pub(super) fn beginnings(&self) -> Option<impl Iterator<Item = &str>> {
        if self.regex.is_some() || (self.exact.is_empty() && self.prefixes.is_empty()) {
            return None;
        }
        let exact = self.exact.iter().map(String::as_str);
        Some(exact.chain(self.prefixes.iter().map(Prefix::as_str)))
    }
}

/// The condition on the host.
#[derive(Debug)]
enum HostRule {
    Any,
    Few(Box<[NamePattern]>),
    Many(NameSet),
}

impl HostRule {
    fn compile(hosts: &[String], problems: &mut Problems<'_>) -> (Self, HostBits) {
        let mut patterns: Vec<NamePattern> = Vec::new();
        for (at, text) in hosts.iter().enumerate() {
            patterns.extend(problems.take(&format!("match.hosts[{at}]"), text.parse()));
        }
        let bits = HostBits::of_patterns(&patterns);
        match hosts.len() {
            0 => (Self::Any, HostBits::ALL),
            count if count < MANY_HOSTS => (Self::Few(patterns.into()), bits),
            _ => (Self::Many(patterns.into_iter().collect()), bits),
        }
    }

    fn holds(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Few(patterns) => patterns.iter().any(|pattern| pattern.matches(host)),
            Self::Many(set) => set.contains(host),
        }
    }
}

/// The condition on one field or query parameter.
#[derive(Debug)]
enum ValueTest {
    Exact(Box<[u8]>),
    Regex(bytes::Regex),
    Present(bool),
}

impl ValueTest {
    fn compile(key: &str, spec: &ValueSpec, problems: &mut Problems<'_>) -> Option<Self> {
        Some(match spec {
            ValueSpec::Exact(value) => Self::Exact(value.as_bytes().into()),
            ValueSpec::Regex(pattern) => {
                let regex = anchored(pattern, bytes::Regex::new);
                Self::Regex(problems.take(key, regex)?)
            }
            ValueSpec::Present(present) => Self::Present(*present),
        })
    }

    fn holds_for_field(&self, name: &HeaderName, fields: &HeaderMap) -> bool {
        let mut values = fields.get_all(name).iter().map(http::HeaderValue::as_bytes);
        match self {
            Self::Exact(exact) => values.any(|value| value == &**exact),
            Self::Regex(regex) => values.any(|value| regex.is_match(value)),
            Self::Present(present) => values.next().is_some() == *present,
        }
    }

    fn holds_for_parameter(&self, name: &str, query: Option<&str>) -> bool {
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

/// The expression that matches only a whole text.
fn anchored<R>(
    pattern: &str,
    new: impl Fn(&str) -> Result<R, regex::Error>,
) -> Result<R, regex::Error> {
    // Alone first, so that `a)|(b` is a mistake and not a way out of the group.
    new(pattern)?;
    new(&format!(r"\A(?:{pattern})\z"))
}

fn methods(names: &[String], problems: &mut Problems<'_>) -> Box<[Method]> {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    let mut methods = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let key = format!("match.methods[{at}]");
        let upper = name.to_ascii_uppercase();
        if name == "CONNECT" {
            problems.add(key, "CONNECT is always refused on a gateway listener");
        } else if *name != upper && KNOWN.contains(&upper.as_str()) {
            problems.add(
                key,
                format!("methods are compared with regard to case; did you mean `{upper}`?"),
            );
        } else if let Ok(method) = Method::from_bytes(name.as_bytes()) {
            methods.push(method);
        } else {
            problems.add(key, format!("`{name}` is not a method"));
        }
    }
    methods.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    methods.dedup();
    methods.into()
}

fn schemes(names: &[String], problems: &mut Problems<'_>) -> Box<[&'static str]> {
    const KNOWN: [&str; 2] = ["http", "https"];
    let mut schemes = Vec::new();
    for (at, name) in names.iter().enumerate() {
        if let Some(scheme) = KNOWN.into_iter().find(|known| known == name) {
            schemes.push(scheme);
        } else {
            let hint = nearest(name, KNOWN)
                .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            problems.add(
                format!("match.schemes[{at}]"),
                format!("`{name}` is neither `http` nor `https`{hint}"),
            );
        }
    }
    schemes.into()
}

fn fields(
    specs: &[(String, ValueSpec)],
    problems: &mut Problems<'_>,
) -> Box<[(HeaderName, ValueTest)]> {
    let mut fields = Vec::new();
    for (name, spec) in specs {
        let key = format!("match.fields.{name}");
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            problems.add(key, format!("`{name}` is not a field name"));
            continue;
        };
        if parsed == http::header::HOST {
            problems.add(key, "match the host with `match.hosts`");
        } else if is_hop_by_hop(&parsed) {
            problems.add(key, "this field belongs to one connection and is not seen by routes");
        } else if let Some(test) = ValueTest::compile(&key, spec, problems) {
            fields.push((parsed, test));
        }
    }
    fields.into()
}

fn query(
    specs: &[(String, ValueSpec)],
    problems: &mut Problems<'_>,
) -> Box<[(Box<str>, ValueTest)]> {
    let mut query = Vec::new();
    for (name, spec) in specs {
        let test = ValueTest::compile(&format!("match.query.{name}"), spec, problems);
        query.extend(test.map(|test| (name.as_str().into(), test)));
    }
    query.into()
}

/// Puts the path before the message about it.
fn explained<T>(text: &str, result: Result<T, path::PathFault>) -> Result<T, String> {
    result.map_err(|fault| format!("`{text}` is not a path in normal form: {fault}"))
}

#[cfg(test)]
mod tests;
