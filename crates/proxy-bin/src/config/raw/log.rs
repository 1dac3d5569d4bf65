//! What is written about the requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AuditLog;

/// `[log]`: the sinks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// One line for each request. Without the table there is no access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessLog>,
    /// One record for each decision against a request. Without the table there is no audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditLog>,
}

/// `[log.access]`: one line for each request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLog {
    /// `"json"`, `"combined"` or `"common"`.
    pub format: LogFormat,
    /// A file, relative to the configuration file, or `"-"` for standard output.
    pub path: String,
    /// What happens when the sink does not keep up.
    pub on_full: OnFull,
    /// Whether it shows who asked, where credentials were verified.
    pub users: bool,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            path: "-".to_owned(),
            on_full: OnFull::DropAndCount,
            users: false,
        }
    }
}

/// The format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// A JSON object.
    Json,
    /// The combined log format.
    Combined,
    /// The common log format.
    Common,
}

/// What happens when a sink does not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// The line is lost and counted.
    DropAndCount,
    /// The request waits.
    Block,
}

/// `[metrics]`: counters, shown by the admin and probe listeners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Whether they are kept.
    pub enabled: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: true }
    }
}
