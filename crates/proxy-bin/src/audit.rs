//! The audit log of the process: opened as the configuration says, told which configuration it is.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use proxy_core::{AuditEvent, AuditRecord, Clock, Verdict};
use proxy_observe::{AuditConfig, AuditLog, AuditTrail, Metrics};
use sha2::{Digest, Sha256};

use crate::compose::path_policy;
use crate::config::resolved::{LogTarget, Resolved};
use crate::config::{Loaded, show};

/// Opens it, where the configuration asks for one.
///
/// # Errors
/// Where the file or its key can not be opened.
pub fn open(
    config: &Resolved,
    metrics: Option<&Arc<Metrics>>,
    clock: &Arc<dyn Clock>,
) -> io::Result<Option<AuditLog>> {
    let Some(own) = &config.audit_log else { return Ok(None) };
    let settings = AuditConfig {
        privacy: config.privacy.audit.clone(),
        on_full: own.on_full,
        queue_size: own.queue_size,
        fsync: own.fsync,
        aggregate_window: own.aggregate_window,
        aggregate_entries: own.aggregate_entries,
        head_interval: own.head_interval,
    };
    let mut builder = AuditLog::builder(settings, Arc::clone(clock))
        .on_error(|error, count| tracing::error!(%error, count, "the audit log cannot be written"));
    if let Some(metrics) = metrics {
        builder = builder.counters(metrics.audit_counters());
    }
    if let Some(key) = &own.key {
        builder = builder.key(key);
    }
    for heads in &own.heads {
        builder = builder.heads(heads.clone());
    }
    Ok(Some(match &own.target {
        LogTarget::Stdout => builder.start(io::stdout())?,
        LogTarget::File(path) => builder.open(path)?,
        // The resolver makes none of these for it.
        LogTarget::Syslog(_) | LogTarget::Journal => {
            return Err(io::ErrorKind::Unsupported.into());
        }
    }))
}

/// What makes its records of what the observer sees.
pub fn trail(log: &AuditLog, config: &Resolved) -> AuditTrail {
    AuditTrail::new(log.sink(), config.privacy.redaction.clone(), path_policy(config))
}

/// Records that a configuration took effect: its number, the files it came from, and the SHA-256
/// of what `proxyd config show` prints of it.
pub fn configured(log: &AuditLog, loaded: &Loaded, generation: u64, clock: &dyn Clock) {
    log.set_generation(generation);
    let reason = if generation == 1 { "start" } else { "reload" };
    let (event, verdict) = (AuditEvent::Configuration, Verdict::Modify);
    let mut record = AuditRecord::new(clock.wall(), event, "configuration", verdict, reason);
    let mut detail = String::from("sha256:");
    for byte in Sha256::digest(show::effective(loaded)) {
        let _ = write!(detail, "{byte:02x}");
    }
    for source in &loaded.sources {
        let _ = write!(detail, " {}", source.display());
    }
    record.detail = Some(detail.into());
    let _ = log.sink().record(&record);
}
