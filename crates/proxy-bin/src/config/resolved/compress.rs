//! How responses are compressed.

use proxy_compress::{Coding, ContentTypes, Levels};

/// What compressing may take of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressLimits {
    /// Bytes of memory for all encoders at work.
    pub memory: u64,
    /// Per cent of the time of all processors; 100: no limit.
    pub cpu_percent: u8,
    /// Bytes of memory for shared dictionaries, where they are wanted.
    pub dictionaries: Option<u64>,
}

/// How the responses of a route, or of the forward role, are compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressPolicy {
    /// The codings, the preferred one first.
    pub codings: Vec<Coding>,
    /// Levels for what a client waits for.
    pub levels: Levels,
    /// Levels for what a cache stores.
    pub stored_levels: Levels,
    /// The largest content of which a cache stores coded forms.
    pub max_stored: u64,
    /// The least content that is coded.
    pub min_size: u64,
    /// The media types that are coded.
    pub content_types: ContentTypes,
    /// Whether what may have secrets in it is coded.
    pub secrets: bool,
    /// Whether a client that takes nothing of what there is gets 406.
    pub refuse: bool,
    /// Whether codings are taken off for clients that do not take them.
    pub decode: bool,
    /// Whether the upstream's coded forms are asked for.
    pub from_upstream: bool,
    /// Whether a cache asks for compressed files beside others.
    pub precompressed: bool,
}
