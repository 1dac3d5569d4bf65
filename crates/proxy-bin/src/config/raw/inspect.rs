//! Inspection: what an attack looks like, and what should not leave.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Size;

/// `[filter.inspect]`: how requests and responses are inspected. Where it stands, the requests of
/// all routes to an upstream are; `inspect` of a route, of `[defaults]` and of `[forward]` says
/// otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Inspect {
    /// Files with more rules, relative to the file that names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule_files: Vec<String>,
    /// How it is inspected where no route says otherwise.
    #[serde(flatten)]
    pub rules: InspectRules,
}

/// `inspect` of a route, of `[defaults]` or of `[forward]`: whether requests are inspected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "true, false, a mode or a table of what differs from [filter.inspect]"))]
pub enum InspectSwitch {
    /// As `[filter.inspect]` says, or not at all.
    Is(bool),
    /// The same in this mode.
    In(InspectMode),
    /// Inspected, with these keys in place of those of `[filter.inspect]`.
    With(Box<InspectRules>),
}

/// How it is inspected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InspectRules {
    /// What findings do. Default `"enforce"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<InspectMode>,
    /// The score at which a request is refused. Default 5, which is one certain rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub threshold: Option<u64>,
    /// Content that is held until it is judged, and looked at together. Default 64KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Size>,
    /// Content of a request that is inspected, after decoding. Default 8MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_limit: Option<Size>,
    /// What becomes of a request beyond what is inspected. Default `"pass"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_limit: Option<OnLimit>,
    /// Rules that do not apply. Those of a route come on top of those of `[filter.inspect]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclusions: Vec<Exclusion>,
    /// Request fields that are not inspected. None by default beyond those that browsers fill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_fields: Option<Vec<String>>,
    /// What of responses is inspected. Nothing by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<InspectResponse>,
}

/// What findings do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InspectMode {
    /// Nothing is inspected.
    Off,
    /// They are written down.
    Report,
    /// They refuse.
    Enforce,
}

/// What becomes of a request beyond what is inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// The rest goes on unseen.
    Pass,
    /// It is refused.
    Deny,
}

/// One of `exclusions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// The id of a rule; `sqli-*` stands for all that begin so.
    pub rule: String,
    /// The name of a parameter, field or cookie; `note*` stands for all that begin so. Without it:
    /// everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

/// `response`: what of responses is inspected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InspectResponse {
    /// Media types that do not pass, `type/subtype` or `type/*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block_content_types: Vec<String>,
    /// Kinds of files that do not pass, known by their first bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block_files: Vec<FileKind>,
    /// Whether texts are searched for private keys, stack traces, errors of databases and source
    /// code.
    pub leaks: bool,
    /// The most content, as it comes from the upstream. No limit by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Size>,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// `pe`, `elf`, `mach_o`, `script`, `java_class`, `dex` and `shortcut`.
    Executable,
    /// Programs of Windows.
    Pe,
    /// Programs of Linux.
    Elf,
    /// Programs of macOS.
    MachO,
    /// A text that begins with `#!`.
    Script,
    /// A class of Java.
    JavaClass,
    /// Code of Android.
    Dex,
    /// A shortcut of Windows.
    Shortcut,
    /// An installer or another compound document of Windows.
    CompoundDocument,
    /// `WebAssembly`.
    Wasm,
}
