//! `NamePolicy`: names that turn up on the way are judged like those that clients ask for.
//!
//! A client asks for one name and reaches another: by an alias in DNS (CNAME), or by the name that
//! it sends inside of a tunnel (SNI). Whoever holds the lists of names judges those too, through
//! this trait; the dialer and the tunnel call it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::exchange::{Decision, Exchange, Verdict};

/// Where a name turned up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameSource {
    /// An alias: the name that the client asked for is a CNAME of it.
    Alias,
    /// The `server_name` of a ClientHello inside a tunnel.
    ServerName,
}

/// A name that turned up.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FoundName<'a> {
    /// The name, in lower case and without a trailing dot.
    pub name: &'a str,
    /// The port that is dialled.
    pub port: u16,
    /// Where it was found.
    pub source: NameSource,
}

impl<'a> FoundName<'a> {
    /// This name, found there.
    pub const fn new(name: &'a str, port: u16, source: NameSource) -> Self {
        Self { name, port, source }
    }
}

/// Judges names that turn up. Called on the worker: must not block.
pub trait NamePolicy: Send + Sync + 'static {
    /// What is found against the name; nothing where it may be reached. `exchange` is the request
    /// on whose behalf it is asked, where there is a record of it.
    fn judge_name(&self, found: &FoundName<'_>, exchange: Option<&Exchange>) -> Vec<Finding>;
}

/// A rule that matched, and whether it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The rule's id.
    pub rule: Arc<str>,
    /// Why, as a token.
    pub reason: &'static str,
    /// False: the rule only reports.
    pub enforced: bool,
}

impl Finding {
    /// A rule that refuses.
    pub fn refuse(rule: impl Into<Arc<str>>, reason: &'static str) -> Self {
        Self { rule: rule.into(), reason, enforced: true }
    }

    /// A rule that would refuse, and only reports.
    pub fn report(rule: impl Into<Arc<str>>, reason: &'static str) -> Self {
        Self { rule: rule.into(), reason, enforced: false }
    }

    /// The same, enforced only where `enforce` says so as well.
    #[must_use]
    pub fn enforced_if(mut self, enforce: bool) -> Self {
        self.enforced &= enforce;
        self
    }

    /// As an entry of the record.
    pub fn decision(&self, layer: &'static str) -> Decision {
        Decision {
            layer,
            rule: Some(Arc::clone(&self.rule)),
            verdict: if self.enforced { Verdict::Deny } else { Verdict::Report },
            reason: Cow::Borrowed(self.reason),
        }
    }
}
