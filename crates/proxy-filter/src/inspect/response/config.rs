//! What of responses is looked at.

use serde::Deserialize;

use super::file::FileKind;
use crate::inspect::config::{Exclusion, InspectConfig, InspectError};
use crate::inspect::verdict::Mode;

/// What of responses is looked at. By default nothing is.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseInspectConfig {
    /// Whether findings refuse a response. Default: `enforce`.
    pub mode: Mode,
    /// Media types that do not pass: `type/subtype`, or `type/*`. Default: none.
    pub block_content_types: Vec<String>,
    /// Kinds of files, known by their first bytes, that do not pass. Default: none.
    pub block_files: Vec<FileKind>,
    /// Whether texts are searched for what should stay inside: private keys, stack traces, errors
    /// of databases, source code. Default: no.
    pub leaks: bool,
    /// The most content, as it comes. Default: no limit.
    pub max_size: Option<u64>,
    /// Rules that do not apply. Default: none.
    pub exclusions: Vec<Exclusion>,
    /// Bytes that are held until they are judged, and that are looked at together. Default: 64 KiB.
    pub window: usize,
    /// Bytes of text, after decoding, that are searched. Default: 1 MiB.
    pub content_limit: u64,
}

impl Default for ResponseInspectConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            block_content_types: Vec::new(),
            block_files: Vec::new(),
            leaks: false,
            max_size: None,
            exclusions: Vec::new(),
            window: 64 * 1024,
            content_limit: 1024 * 1024,
        }
    }
}

impl ResponseInspectConfig {
    /// Whether there is anything to look at.
    pub fn is_idle(&self) -> bool {
        self.mode == Mode::Off
            || self.block_content_types.is_empty()
                && self.block_files.is_empty()
                && !self.leaks
                && self.max_size.is_none()
    }

    /// Whether a media type does not pass.
    pub(super) fn blocks_type(&self, content_type: &[u8]) -> bool {
        let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
        let kind = content_type[..end].trim_ascii();
        self.block_content_types.iter().any(|blocked| match blocked.strip_suffix('*') {
            Some(prefix) => {
                kind.len() > prefix.len()
                    && kind[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
            }
            None => kind.eq_ignore_ascii_case(blocked.as_bytes()),
        })
    }

    /// The part that the judge of values needs.
    pub(super) fn of_values(&self) -> Result<InspectConfig, InspectError> {
        let config = InspectConfig {
            mode: self.mode,
            exclusions: self.exclusions.clone(),
            window: self.window,
            content_limit: self.content_limit,
            ..InspectConfig::default()
        };
        config.check()?;
        Ok(config)
    }
}
