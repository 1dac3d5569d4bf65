//! The conditions of a rule, compiled.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use http::{HeaderName, Method};
use proxy_core::matching::{HostRule, Prefix, ValueTest};
use proxy_core::{Clock, IpSet};
use regex::Regex;

use crate::asked::Asked;
use crate::policies::TimeWindow;

/// What must hold. An empty list always does.
pub(super) struct Conditions {
    pub(super) hosts: HostRule,
    pub(super) paths: PathCondition,
    pub(super) methods: Box<[Method]>,
    pub(super) schemes: Box<[String]>,
    pub(super) fields: Box<[(HeaderName, ValueTest)]>,
    pub(super) query: Box<[(Box<str>, ValueTest)]>,
    pub(super) ports: Box<[RangeInclusive<u16>]>,
    pub(super) listeners: Box<[String]>,
    pub(super) clients: IpSet,
    pub(super) users: Box<[String]>,
    pub(super) client_certificates: Box<[String]>,
    pub(super) routes: Box<[String]>,
    pub(super) tags: Box<[String]>,
    pub(super) times: Box<[TimeWindow]>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Conditions {
    /// The first that does not hold, in words; none where all do. The cheap ones first.
    pub(super) fn unmet(&self, asked: &Asked<'_>) -> Option<&'static str> {
        if !self.methods.is_empty() && !self.methods.contains(asked.method()) {
            return Some("methods do not match");
        }
        if !self.paths.holds(asked.path()) {
            return Some("path does not match");
        }
        if !self.hosts.holds(asked.host()) {
            return Some("hosts do not match");
        }
        if !holds(&self.schemes, |own| asked.scheme().eq_ignore_ascii_case(own)) {
            return Some("schemes do not match");
        }
        if !self.ports.is_empty() {
            let port = asked.port();
            if !self.ports.iter().any(|ports| ports.contains(&port)) {
                return Some("ports do not match");
            }
        }
        if !holds(&self.listeners, |own| own == asked.listener()) {
            return Some("listeners do not match");
        }
        if !holds(&self.routes, |own| asked.route() == Some(own)) {
            return Some("routes do not match");
        }
        if !self.clients.is_empty() && !asked.client().is_in(&self.clients) {
            return Some("clients do not match");
        }
        let is_as_said =
            |(name, test): &(HeaderName, ValueTest)| test.holds_for_field(name, asked.fields());
        if !self.fields.iter().all(is_as_said) {
            return Some("fields do not match");
        }
        let is_as_said =
            |(name, test): &(Box<str>, ValueTest)| test.holds_for_parameter(name, asked.query());
        if !self.query.iter().all(is_as_said) {
            return Some("query does not match");
        }
        if !self.users.is_empty() {
            let user = asked.user();
            let user = user.as_deref();
            if !user.is_some_and(|user| holds(&self.users, |own| own == "*" || own == user)) {
                return Some("users do not match");
            }
        }
        if !self.client_certificates.is_empty() {
            let shown = asked.client_certificate();
            if !shown.is_some_and(|shown| holds(&self.client_certificates, |own| shown.is(own))) {
                return Some("client certificates do not match");
            }
        }
        if !holds(&self.tags, |own| asked.has_tag(own)) {
            return Some("tags do not match");
        }
        if !self.times.is_empty() {
            let now = self.clock.wall();
            if !self.times.iter().any(|window| window.contains(now)) {
                return Some("time does not match");
            }
        }
        None
    }
}

fn holds(list: &[String], is: impl Fn(&str) -> bool) -> bool {
    list.is_empty() || list.iter().any(|own| is(own))
}

/// The condition on the path: one of them takes it in, or there is none.
#[derive(Default)]
pub(super) struct PathCondition {
    pub(super) exact: Box<[String]>,
    pub(super) prefixes: Box<[Prefix]>,
    pub(super) regex: Option<Regex>,
}

impl PathCondition {
    fn holds(&self, path: &str) -> bool {
        if self.exact.is_empty() && self.prefixes.is_empty() && self.regex.is_none() {
            return true;
        }
        self.prefixes.iter().any(|prefix| prefix.tail(path).is_some())
            || self.exact.iter().any(|exact| exact == path)
            || self.regex.as_ref().is_some_and(|regex| regex.is_match(path))
    }
}

impl fmt::Debug for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conditions").finish_non_exhaustive()
    }
}
