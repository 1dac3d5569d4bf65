//! What is shown of clients, and the audit log.

use std::path::PathBuf;

use proxy_core::AddressPrivacy;
use proxy_observe::Redaction;
use proxy_observe::audit::{Fsync, HeadsTo, OnFull};

use super::LogTarget;

/// What every sink shows of clients.
#[derive(Clone, Debug, Default)]
pub struct Privacy {
    /// The access log, and explain.
    pub log: AddressPrivacy,
    /// The audit log.
    pub audit: AddressPrivacy,
    /// Upstreams.
    pub forwarded: AddressPrivacy,
    /// What no sink shows of a request.
    pub redaction: Redaction,
}

/// The audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLog {
    /// Where it goes.
    pub target: LogTarget,
    /// What happens while nothing can be written.
    pub on_full: OnFull,
    /// The file of its key.
    pub key: Option<PathBuf>,
    /// Where else heads go.
    pub heads: Vec<HeadsTo>,
    /// How often.
    pub head_interval: std::time::Duration,
    /// When it is synced.
    pub fsync: Fsync,
    /// Bytes held in memory.
    pub queue_size: usize,
    /// How long repetitions are counted.
    pub aggregate_window: std::time::Duration,
    /// How many kinds of them.
    pub aggregate_entries: usize,
}
