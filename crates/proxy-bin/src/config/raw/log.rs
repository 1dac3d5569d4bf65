//! What is written about the requests.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AuditLog;
use crate::config::units::{Period, Share, Size};

/// `[log]`: the sinks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// One line for each request. Without the table there is no access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessLog>,
    /// Further access logs, by name. Each has the routes that name it with `log`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<String, AccessLog>,
    /// One record for each decision against a request. Without the table there is no audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditLog>,
}

/// `[log.access]`: one line for each request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLog {
    /// `"json"`, `"combined"`, `"common"` or `"template"`.
    pub format: LogFormat,
    /// The line of the format `"template"`: text with variables in braces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// A file, relative to the configuration file; `"-"` for standard output;
    /// `"syslog:unix:/dev/log"` or `"syslog:udp:ADDRESS:PORT"`; `"journald:"`.
    pub path: String,
    /// When its file is put away, and what becomes of it. Without the table it grows on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Rotate>,
    /// The share of everyday requests that have a line: of those that are complete, have a status
    /// below 500 and were not slow.
    pub sample: Share,
    /// What takes at least this long is marked as slow, and has a line whatever `sample` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_threshold: Option<Period>,
    /// What happens when the sink does not keep up.
    pub on_full: OnFull,
    /// The most bytes of lines held in memory.
    pub queue_size: Size,
    /// Whether it shows who asked, where credentials were verified.
    pub users: bool,
    /// Whether a log of `[log.more]` has every route, and not only those that name it.
    pub every_route: bool,
}

/// `rotate` of an access log: when its file is put away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rotate {
    /// When it has this many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// When this time is over, counted from 1970 in UTC: `"24h"` ends at midnight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Period>,
    /// How many files that were put away are kept.
    #[schemars(range(min = 1, max = 10000))]
    pub keep: u64,
    /// Whether they are compressed.
    pub compress: bool,
}

impl Default for Rotate {
    fn default() -> Self {
        Self { size: None, interval: None, keep: 7, compress: true }
    }
}

/// `log` of a route: whether its requests have lines, and in which log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "true, false or the name of a log"))]
pub enum LogSwitch {
    /// In `[log.access]`, or nowhere.
    On(bool),
    /// In this one of `[log.more]`, and not in `[log.access]`.
    Named(String),
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            template: None,
            path: "-".to_owned(),
            rotate: None,
            sample: Share::ALL,
            slow_threshold: None,
            on_full: OnFull::DropAndCount,
            queue_size: Size::from_bytes(8 << 20),
            users: false,
            every_route: false,
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
    /// As `template` says.
    Template,
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
