//! What an inspection says, and the traits that say it.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use proxy_core::RequestHead;
use serde::Deserialize;

use super::value::Place;

/// Judges request heads and makes inspections of content.
///
/// An inspector is shared by all requests. It has no way to fail: what it can not read it must
/// judge as an attack or pass, as its configuration says.
pub trait Inspector: Send + Sync + 'static {
    /// Judges a head, and says whether the content is to be shown as well. `has_content` is false
    /// where it is known that there is none.
    fn begin(&self, head: RequestHead<'_>, has_content: bool) -> Start;
}

/// The inspection of the content of one request.
pub trait Inspection: Send {
    /// Takes the next piece of content, in order.
    fn chunk(&mut self, chunk: &Bytes) -> Step;

    /// Whether the chunk is not judged to its end, for there was much to do: then
    /// [`chunk`](Self::chunk) is to be called with an empty one, in a later turn, until it is. The last
    /// step is about the chunk; who does not ask, or calls with another chunk, has all judged at
    /// once. Default: no.
    fn is_busy(&self) -> bool {
        false
    }

    /// Takes the trailer fields, which come before [`finish`](Self::finish). Default: they pass.
    fn trailers(&mut self, trailers: &HeaderMap) -> Step {
        let _ = trailers;
        Step::Pass
    }

    /// Says that the content is complete. Called at most once; whatever is held goes on unless
    /// this says [`Step::Block`] or [`Step::Replace`].
    fn finish(&mut self) -> Step;

    /// What was found so far in the content.
    fn report(&self) -> &Report;

    /// Whether it may say [`Step::Hold`] of the first chunk: then the head waits with it. Default:
    /// yes.
    fn holds(&self) -> bool {
        true
    }

    /// Whether it may say [`Step::Replace`]: then the length of the content is not known
    /// beforehand. Default: no.
    fn may_replace(&self) -> bool {
        false
    }
}

/// What to do with content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This chunk and all that are held may go on.
    Pass,
    /// This chunk is to be held back until a later step. An inspection holds no more than its
    /// window at once.
    Hold,
    /// Instead of this chunk and all that are held, these bytes go on.
    Replace(Bytes),
    /// The request is refused; nothing that is held goes on.
    Block,
}

/// What an inspector says of a head.
#[non_exhaustive]
pub struct Start {
    /// What was found in the head.
    pub report: Report,
    /// What to do.
    pub next: Next,
}

impl Start {
    /// A judgement.
    pub fn new(report: Report, next: Next) -> Self {
        Self { report, next }
    }
}

/// What to do after the head was judged.
pub enum Next {
    /// The request may go on, its content unseen.
    Pass,
    /// The request is refused.
    Block,
    /// The content is to be shown.
    Content(Box<dyn Inspection>),
}

/// Whether findings refuse a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing is inspected.
    Off,
    /// Findings are reported; nothing is refused.
    Report,
    /// A request whose score reaches the threshold is refused. The default.
    #[default]
    Enforce,
}

/// The class of attack that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Class {
    /// SQL injection.
    Sqli,
    /// Cross-site scripting.
    Xss,
    /// Path traversal and local file inclusion.
    Path,
    /// Remote file inclusion.
    Rfi,
    /// Command injection.
    Command,
    /// PHP code.
    Php,
    /// Java: class names, Log4Shell, OGNL, serialised objects.
    Java,
    /// Code for other interpreters: Node, Ruby, Python, Perl.
    Code,
    /// Template engines and expression languages.
    Template,
    /// LDAP filters.
    Ldap,
    /// XPath expressions.
    Xpath,
    /// XML external entities.
    Xxe,
    /// NoSQL operators.
    Nosql,
    /// Requests forged to be made by the server.
    Ssrf,
    /// Line breaks and fields injected into messages.
    Crlf,
    /// Session fixation.
    Session,
    /// Files that no page links to: repositories, backups, settings.
    Exposure,
    /// Programs that look for weaknesses.
    Scanner,
    /// Messages that no honest program writes.
    Protocol,
    /// Content beyond the limits of inspection.
    Limit,
    /// Responses: a type or kind of file that does not pass.
    File,
    /// Responses: what should have stayed inside.
    Leak,
    /// Responses: more content than passes.
    Size,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 23] = [
        Self::Sqli,
        Self::Xss,
        Self::Path,
        Self::Rfi,
        Self::Command,
        Self::Php,
        Self::Java,
        Self::Code,
        Self::Template,
        Self::Ldap,
        Self::Xpath,
        Self::Xxe,
        Self::Nosql,
        Self::Ssrf,
        Self::Crlf,
        Self::Session,
        Self::Exposure,
        Self::Scanner,
        Self::Protocol,
        Self::Limit,
        Self::File,
        Self::Leak,
        Self::Size,
    ];

    /// Whether a match of this class may be no more than code of some language.
    pub(super) const fn is_code(self) -> bool {
        matches!(
            self,
            Self::Path
                | Self::Command
                | Self::Php
                | Self::Java
                | Self::Code
                | Self::Template
                | Self::Ldap
                | Self::Xpath
                | Self::Nosql
        )
    }

    /// Those of rules about responses.
    pub const OF_RESPONSES: [Self; 3] = [Self::File, Self::Leak, Self::Size];

    /// Those of rules about requests.
    pub const OF_REQUESTS: [Self; 20] = {
        let mut some = [Self::Sqli; 20];
        let mut at = 0;
        while at < some.len() {
            some[at] = Self::ALL[at];
            at += 1;
        }
        some
    };

    /// The word in reports.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Sqli => "sqli",
            Self::Xss => "xss",
            Self::Path => "path",
            Self::Rfi => "rfi",
            Self::Command => "command",
            Self::Php => "php",
            Self::Java => "java",
            Self::Code => "code",
            Self::Template => "template",
            Self::Ldap => "ldap",
            Self::Xpath => "xpath",
            Self::Xxe => "xxe",
            Self::Nosql => "nosql",
            Self::Ssrf => "ssrf",
            Self::Crlf => "crlf",
            Self::Session => "session",
            Self::Exposure => "exposure",
            Self::Scanner => "scanner",
            Self::Protocol => "protocol",
            Self::Limit => "limit",
            Self::File => "file",
            Self::Leak => "leak",
            Self::Size => "size",
        }
    }
}

/// One rule that matched.
///
/// It names the parameter, never its value: a report may be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The id of the rule.
    pub rule: Arc<str>,
    /// Its class.
    pub class: Class,
    /// What it scored.
    pub score: u16,
    /// Where it matched.
    pub place: Place,
    /// The name of the parameter, at most 64 bytes, other bytes than printable ASCII replaced.
    pub parameter: Box<str>,
    /// One line that says why.
    pub reason: Arc<str>,
}

impl Finding {
    /// A rule of an inspector's own that matched.
    pub fn new(
        rule: impl Into<Arc<str>>,
        class: Class,
        score: u16,
        place: Place,
        reason: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            rule: rule.into(),
            class,
            score,
            place,
            parameter: Box::default(),
            reason: reason.into(),
        }
    }

    /// The same in a parameter of this name: its first 64 bytes, `?` for what is not printable.
    #[must_use]
    pub fn in_parameter(mut self, name: &str) -> Self {
        let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        self.parameter = name.chars().take(64).map(plain).collect::<String>().into();
        self
    }
}

/// What was found in a request or in a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The score; see the module for how it is made.
    pub score: u16,
    /// Whether the score reaches the threshold: the request is refused, or would be in another
    /// [`Mode`].
    pub is_attack: bool,
    /// The rules that matched, at most 16.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Nothing was found.
    pub const NONE: Self = Self { score: 0, is_attack: false, findings: Vec::new() };

    /// The rule that weighs most; the first one of several.
    pub fn heaviest(&self) -> Option<&Finding> {
        self.findings.iter().rev().max_by_key(|finding| finding.score)
    }

    /// Adds a rule that matched; beyond 16 only its score counts.
    pub fn add(&mut self, finding: Finding) {
        self.score = self.score.max(finding.score);
        if self.findings.len() < 16 {
            self.findings.push(finding);
        }
    }

    /// Adds what was found later, in the content of the same request.
    pub fn extend(&mut self, later: &Self) {
        self.score = self.score.max(later.score);
        self.is_attack |= later.is_attack;
        for finding in &later.findings {
            if !self.findings.iter().any(|known| known.rule == finding.rule) {
                self.findings.push(finding.clone());
            }
        }
    }
}
