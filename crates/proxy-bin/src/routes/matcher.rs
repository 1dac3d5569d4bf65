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

use http::{HeaderName, Method};
use proxy_core::matching::{HostRule, ValueTest, anchored};
use proxy_core::names::NamePattern;
use proxy_filter::rules::FieldTest;
use regex::Regex;

use crate::config::suggest::nearest;

use super::error::Problems;
use super::fields::is_hop_by_hop;
use super::gate::HostBits;
use super::path::{self, Prefix};
use super::spec::MatchSpec;
use super::table::RouteQuery;

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
        let (hosts, host_bits) = hosts(&spec.hosts, problems);
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
        !self.hosts.is_any()
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

/// The condition on the host, and its summary.
fn hosts(hosts: &[String], problems: &mut Problems<'_>) -> (HostRule, HostBits) {
    let mut patterns: Vec<NamePattern> = Vec::new();
    for (at, text) in hosts.iter().enumerate() {
        patterns.extend(problems.take(&format!("match.hosts[{at}]"), text.parse()));
    }
    let bits = if hosts.is_empty() { HostBits::ALL } else { HostBits::of_patterns(&patterns) };
    (HostRule::new(patterns), bits)
}

/// The condition on one field or query parameter.
fn value_test(key: &str, spec: &FieldTest, problems: &mut Problems<'_>) -> Option<ValueTest> {
    Some(match spec {
        FieldTest::Exact(value) => ValueTest::exact(value),
        FieldTest::Regex(pattern) => problems.take(key, ValueTest::regex(pattern))?,
        FieldTest::Present(present) => ValueTest::Present(*present),
    })
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
    specs: &[(String, FieldTest)],
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
        } else if let Some(test) = value_test(&key, spec, problems) {
            fields.push((parsed, test));
        }
    }
    fields.into()
}

fn query(
    specs: &[(String, FieldTest)],
    problems: &mut Problems<'_>,
) -> Box<[(Box<str>, ValueTest)]> {
    let mut query = Vec::new();
    for (name, spec) in specs {
        let test = value_test(&format!("match.query.{name}"), spec, problems);
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
