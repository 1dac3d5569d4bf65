//! The built-in inspector.

use std::sync::Arc;

use proxy_core::RequestHead;

use super::config::{InspectConfig, InspectError};
use super::head;
use super::judge::{Judge, Shared};
use super::rules::{Matcher, RuleSet};
use super::stream::Content;
use super::verdict::{Inspection as _, Inspector, Mode, Next, Report, Start};

/// The built-in inspector: rules, compiled once, and a configuration. A clone shares them.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

impl Engine {
    /// An engine with the built-in rules.
    ///
    /// # Errors
    /// Where a limit of the configuration has no sense.
    pub fn new(config: InspectConfig) -> Result<Self, InspectError> {
        Self::with_rules(config, RuleSet::built_in()?)
    }

    /// An engine with these rules.
    ///
    /// # Errors
    /// Where a rule does not compile, or a limit of the configuration has no sense.
    pub fn with_rules(config: InspectConfig, rules: RuleSet) -> Result<Self, InspectError> {
        config.check()?;
        Ok(Self(Arc::new(Shared { config, matcher: Arc::new(Matcher::compile(rules)?) })))
    }

    /// An engine with the same rules, which are shared, and another configuration.
    ///
    /// # Errors
    /// Where a limit of the configuration has no sense.
    pub fn with_config(&self, config: InspectConfig) -> Result<Self, InspectError> {
        config.check()?;
        Ok(Self(Arc::new(Shared { config, matcher: Arc::clone(&self.0.matcher) })))
    }

    /// Judges a head and complete content together: for tests, and for content that is there.
    pub fn judge(&self, head: RequestHead<'_>, content: &[u8]) -> (bool, Report) {
        let start = self.begin(head, !content.is_empty());
        let mut report = start.report;
        let mut inspection = match start.next {
            Next::Pass => return (false, report),
            Next::Block => return (true, report),
            Next::Content(inspection) => inspection,
        };
        let content = bytes::Bytes::copy_from_slice(content);
        let mut blocked = inspection.chunk(&content) == super::Step::Block;
        while inspection.is_busy() {
            blocked |= inspection.chunk(&bytes::Bytes::new()) == super::Step::Block;
        }
        blocked = blocked || inspection.finish() == super::Step::Block;
        report.extend(inspection.report());
        (blocked, report)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl Inspector for Engine {
    fn begin(&self, head: RequestHead<'_>, has_content: bool) -> Start {
        if self.0.config.mode == Mode::Off {
            return Start::new(Report::default(), Next::Pass);
        }
        let mut judge = Judge::new(Arc::clone(&self.0));
        head::judge(head, &mut judge);
        let blocks = judge.blocks();
        let mut report = judge.take_report();
        if blocks {
            return Start::new(report, Next::Block);
        }
        if !has_content {
            return Start::new(report, Next::Pass);
        }
        let content = Content::of(head, judge.continued());
        if content.blocks() {
            report.extend(content.report());
            return Start::new(report, Next::Block);
        }
        Start::new(report, Next::Content(Box::new(content)))
    }
}
