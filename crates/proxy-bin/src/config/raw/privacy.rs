//! What is shown of clients, and what is hidden of their requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;
use crate::config::units::{Limit, Period, Size};

/// `[privacy]`: what every sink shows of the client's address, and what none shows of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Privacy {
    /// `"full"`, `"truncate"` to its network, a keyed `"pseudonym"`, or `"drop"`.
    pub client_address: ClientAddress,
    /// Sinks that differ.
    pub sinks: PrivacySinks,
    /// Bits that `"truncate"` keeps of an IPv4 address.
    #[schemars(range(max = 32))]
    pub ipv4_prefix: u8,
    /// Bits that `"truncate"` keeps of an IPv6 address.
    #[schemars(range(max = 128))]
    pub ipv6_prefix: u8,
    /// The secret of pseudonyms; replicas that share it agree on them.
    /// Without it one is made at start and kept in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salt: Option<Secret>,
    /// How long a pseudonym holds, counted from 1970 in UTC; `"none"`: as long
    /// as the salt.
    pub salt_rotation_interval: Limit<Period>,
    /// Names of query parameters whose values logs do not show; `"*"` for all.
    pub redact_query: Vec<String>,
    /// Names of fields whose values logs and explain do not show.
    pub redact_fields: Vec<String>,
}

impl Default for Privacy {
    fn default() -> Self {
        Self {
            client_address: ClientAddress::Full,
            sinks: PrivacySinks::default(),
            ipv4_prefix: 24,
            ipv6_prefix: 48,
            salt: None,
            salt_rotation_interval: Limit::At(Period::from_secs(24 * 3600)),
            redact_query: Vec::new(),
            redact_fields: Vec::new(),
        }
    }
}

/// What is shown of the client's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAddress {
    /// All of it.
    #[default]
    Full,
    /// Its network.
    Truncate,
    /// A short name in its place.
    Pseudonym,
    /// Nothing.
    Drop,
}

/// `[privacy.sinks]`: sinks that differ from `client_address`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PrivacySinks {
    /// The access log, and what explain shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<ClientAddress>,
    /// The audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<ClientAddress>,
    /// What upstreams see: `Forwarded`, `X-Forwarded-For`, `{client}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<ClientAddress>,
}

/// `[log.audit]`: what was refused, reported or changed, in a file that shows when it was altered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditLog {
    /// A file, relative to the configuration file, or `"-"` for standard output.
    pub path: String,
    /// What happens while nothing can be written.
    pub on_full: AuditOnFull,
    /// With `on_full = "block"`, how long a request waits before it is refused.
    pub block_timeout: Period,
    /// A file with 64 hex digits, which moves on with the log: with the copy
    /// that is kept elsewhere no written record can be altered unseen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// Where else `seq:hash` of the last record is written: files, relative to
    /// the configuration file, or `"stderr"`.
    pub heads: Vec<String>,
    /// How often, where it changed.
    pub head_interval: Period,
    /// When what is written is handed to the disk.
    pub fsync: AuditFsync,
    /// Bytes of records held in memory.
    pub queue_size: Size,
    /// How long repetitions are counted instead of recorded; `"none"`: each is
    /// recorded.
    pub aggregate_window: Limit<Period>,
    /// How many kinds of repetitions are counted apart.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub aggregate_entries: u64,
}

impl Default for AuditLog {
    fn default() -> Self {
        Self {
            path: "audit.jsonl".to_owned(),
            on_full: AuditOnFull::Block,
            block_timeout: Period::from_secs(30),
            key: None,
            heads: Vec::new(),
            head_interval: Period::from_secs(5),
            fsync: AuditFsync::EverySecond,
            queue_size: Size::from_bytes(4 << 20),
            aggregate_window: Limit::At(Period::from_secs(10)),
            aggregate_entries: 4096,
        }
    }
}

/// What happens while no audit record can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOnFull {
    /// Requests wait; after `block_timeout` they get 503.
    Block,
    /// Records are lost and counted.
    DropAndCount,
    /// Requests get 503.
    RefuseRequests,
}

/// When audit records are handed to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditFsync {
    /// When the system thinks fit.
    Never,
    /// Once a second.
    EverySecond,
    /// After each write.
    EveryWrite,
}
