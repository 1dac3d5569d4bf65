//! Content coding: whether responses are compressed, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Size;

/// `[compress]`: how responses are compressed. Whether they are is said by `compress` of a route,
/// of `[defaults]` and of `[forward]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Compress {
    /// Bytes of memory for all encoders at work; a response that would need more is sent as it is.
    /// Default 256MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// The share of the time of all processors that compressing may take. Beyond it levels go down,
    /// then responses are sent as they are. Default `"60%"`; `"100%"` lifts the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_share: Option<String>,
    /// Bytes of memory for shared dictionaries (RFC 9842): responses that upstreams offer as such
    /// (`Use-As-Dictionary`) are kept, up to 1 MiB each, and what their clients then ask for is
    /// compressed with their help (`dcz`, `dcb`). Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dictionaries: Option<Size>,
    /// How responses are compressed where no route says otherwise.
    #[serde(flatten)]
    pub rules: CompressRules,
}

/// `compress` of a route, of `[defaults]` or of `[forward]`: whether responses are compressed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "true, false or a table of what differs from [compress]"))]
pub enum CompressSwitch {
    /// As `[compress]` says, or not at all.
    Is(bool),
    /// Compressed, with these keys in place of those of `[compress]`.
    With(Box<CompressRules>),
}

/// How responses are compressed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompressRules {
    /// The codings, the preferred one first; a client's own preference comes before it. Default
    /// `["zstd", "br", "gzip"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codings: Option<Vec<CodingName>>,
    /// Levels for what a client waits for: `zstd` 1 to 9, `br` 0 to 6, `gzip` 1 to 9. Default
    /// `{ zstd = 3, br = 3, gzip = 4 }`; streams get at most zstd 1, br 3, gzip 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<CodingLevels>,
    /// Levels for what a cache stores, made in the background: `zstd` 1 to 22, `br` 0 to 11, `gzip`
    /// 1 to 9. Default
    /// `{ zstd = 19, br = 11, gzip = 9 }`, less for content of more than 256KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_level: Option<CodingLevels>,
    /// The largest content of which a cache stores compressed forms. Default 8MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_stored: Option<Size>,
    /// What is known to be smaller is sent as it is. Default 1KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_size: Option<Size>,
    /// The media types that are compressed: `"text/html"`, `"text/*"`, `"+json"`, `"*"`. Default:
    /// text, JSON, XML, scripts, SVG, wasm, fonts without compression of their own, and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_types: Option<Vec<String>>,
    /// Compress responses that set cookies, and those to requests with `Authorization`, too. The
    /// length of a compressed page can give away a secret in it to who can have it asked for with
    /// text of their own in it. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<bool>,
    /// What a client gets that refuses uncompressed content and takes no coding that is made here:
    /// `"identity"`, the content as it is, or `"refuse"`, 406. Default `"identity"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unacceptable: Option<Unacceptable>,
    /// Decompress what the upstream, or the cache, has in a coding that the client does not take.
    /// Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode: Option<bool>,
    /// The upstream has compressed forms of its own, such as `.br` and `.gz` files beside others:
    /// they are asked for, also for the cache, which then stores what the upstream sends for each
    /// `Accept-Encoding`. Default false: a cache asks for uncompressed content, and compresses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_upstream: Option<bool>,
    /// The upstream has compressed files beside others, under their names with `.zst`, `.br` and
    /// `.gz`, and serves them under these names: a cache asks for each once, and keeps it in the place
    /// of a form of its own if it decompresses to the file beside it. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precompressed: Option<bool>,
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CodingName {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Br,
    /// RFC 1952.
    Gzip,
}

/// A level for each coding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CodingLevels {
    /// 1 to 22; up to 9 for what a client waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zstd: Option<u8>,
    /// 0 to 11; up to 6 for what a client waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub br: Option<u8>,
    /// 1 to 9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gzip: Option<u8>,
}

/// What a client gets that takes nothing of what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unacceptable {
    /// The content as it is.
    Identity,
    /// 406.
    Refuse,
}
