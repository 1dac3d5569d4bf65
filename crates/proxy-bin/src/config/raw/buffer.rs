//! Content that is held for slow clients.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Size;

/// `[buffer]`: how content is held; `buffer` of a route or of `[defaults]` says whether.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Buffer {
    /// Where files without a name are made for what does not fit into memory, from the folder of
    /// the file that says so. Default: the directory of the system for temporary files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// What all of them together may have.
    pub max_disk: Size,
    /// Bytes of a message in memory.
    pub memory: Size,
    /// Bytes of a message in a file then.
    pub disk: Size,
    /// What becomes of a request with more, or where the file can not be written.
    pub on_limit: BufferOnLimit,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            directory: None,
            max_disk: Size::from_bytes(1 << 30),
            memory: Size::from_bytes(64 << 10),
            disk: Size::from_bytes(16 << 20),
            on_limit: BufferOnLimit::default(),
        }
    }
}

impl Buffer {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of a request that can not be held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BufferOnLimit {
    /// 413, or 503 where the file could not be written.
    #[default]
    Refuse,
    /// It is passed on as it comes.
    Stream,
}

/// `buffer` of a route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend(
    "x-expected" = "\"request\", \"response\", \"both\", \"off\" or a table of what differs from [buffer]"
))]
pub enum BufferSwitch {
    /// What is held, as `[buffer]` says.
    Of(BufferOf),
    /// What is held, with these keys in place of those of `[buffer]`.
    With(BufferRules),
}

/// Whose content is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BufferOf {
    /// Nobody's.
    #[default]
    Off,
    /// That of requests, before the upstream is asked.
    Request,
    /// That of responses, read ahead of the client.
    Response,
    /// Both.
    Both,
}

/// What is held of a route, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BufferRules {
    /// Whose content is held.
    pub of: BufferOf,
    /// Bytes of a message in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Bytes of a message in a file then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Size>,
    /// What becomes of a request with more, or where the file can not be written. Not where only
    /// responses are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_limit: Option<BufferOnLimit>,
}
