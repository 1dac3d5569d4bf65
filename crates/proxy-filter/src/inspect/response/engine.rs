//! Judges the heads of responses.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;

use super::config::ResponseInspectConfig;
use super::content::ResponseContent;
use crate::inspect::config::InspectError;
use crate::inspect::detect::Signal;
use crate::inspect::judge::{Judge, Shared};
use crate::inspect::rules::{Matcher, Rule, RuleSet};
use crate::inspect::verdict::{Mode, Next, Report, Start};

/// Judges responses. A clone shares rules and configuration.
#[derive(Clone)]
pub struct ResponseEngine {
    pub(super) config: Arc<ResponseInspectConfig>,
    pub(super) shared: Arc<Shared>,
}

impl ResponseEngine {
    /// An engine with the built-in rules about responses.
    ///
    /// # Errors
    /// Where a limit of the configuration has no sense.
    pub fn new(config: ResponseInspectConfig) -> Result<Self, InspectError> {
        let matcher = Matcher::compile(RuleSet::of_responses()?)?;
        let shared = Shared { config: config.of_values()?, matcher: Arc::new(matcher) };
        Ok(Self { config: Arc::new(config), shared: Arc::new(shared) })
    }

    /// An engine with the same rules, which are shared, and another configuration.
    ///
    /// # Errors
    /// Where a limit of the configuration has no sense.
    pub fn with_config(&self, config: ResponseInspectConfig) -> Result<Self, InspectError> {
        let matcher = Arc::clone(&self.shared.matcher);
        let shared = Shared { config: config.of_values()?, matcher };
        Ok(Self { config: Arc::new(config), shared: Arc::new(shared) })
    }

    /// Whether content is refused by what only the whole of it shows: then no ranges are asked for.
    pub(super) fn wants_the_whole(&self) -> bool {
        let config = &self.config;
        config.mode == Mode::Enforce
            && (config.leaks || config.max_size.is_some() || !config.block_files.is_empty())
    }

    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        self.shared.matcher.rules()
    }

    /// Judges a head; `has_content` is false where it is known that there is none.
    pub fn begin(&self, head: &Parts, has_content: bool) -> Start {
        if self.config.is_idle() || !has_content {
            return Start::new(Report::default(), Next::Pass);
        }
        let mut judge = Judge::new(Arc::clone(&self.shared));
        let content_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
        if self.config.blocks_type(content_type) {
            judge.signal(Signal::ResponseType, b"content-type");
        }
        let length = head.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        if let (Some(most), Some(length)) = (self.config.max_size, length)
            && most < length
        {
            judge.signal(Signal::ResponseSize, b"content-length");
        }
        let next = if judge.blocks() {
            Next::Block
        } else {
            let config = Arc::clone(&self.config);
            match ResponseContent::of(head, content_type, config, judge.continued()) {
                Some(content) => Next::Content(Box::new(content)),
                None => Next::Pass,
            }
        };
        Start::new(judge.take_report(), next)
    }
}

impl std::fmt::Debug for ResponseEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseEngine").field("config", &self.config).finish_non_exhaustive()
    }
}
