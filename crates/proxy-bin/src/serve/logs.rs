//! The logs of the process; each ends with its drop.

use std::collections::BTreeMap;
use std::sync::Arc;

use proxy_core::Clock;
use proxy_observe::traces::Traces;
use proxy_observe::{AuditLog, Metrics, Sink};

use super::ServeError;
use super::audit_file::AuditFile;
use crate::access_log::AccessLogs;
use crate::config::KeyPath;
use crate::config::resolved::{AccessLog, LogTarget, Resolved};

/// The logs. A clone is the same.
#[derive(Clone)]
pub(super) struct Logs {
    access: Arc<AccessLogs>,
    defined: Defined,
    pub(super) audit: Option<Arc<AuditLog>>,
    pub(super) audit_file: Option<Arc<AuditFile>>,
}

/// What defines the access logs.
#[derive(Clone, PartialEq)]
struct Defined {
    first: Option<AccessLog>,
    more: BTreeMap<String, AccessLog>,
    shown: String,
}

impl Defined {
    fn of(config: &Resolved) -> Self {
        let shown =
            ["privacy", "server.path"].map(|path| config.definitions.of(&KeyPath::of(path)));
        let (first, more) = (config.access_log.clone(), config.more_logs.clone());
        Self { first, more, shown: shown.join(" ") }
    }
}

impl Logs {
    /// Opens those of a configuration; those that are defined as before go on.
    pub(super) fn open(
        config: &Resolved,
        before: Option<&Self>,
        metrics: Option<&Arc<Metrics>>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, ServeError> {
        let defined = Defined::of(config);
        let access = match before.filter(|before| before.defined == defined) {
            Some(before) => Arc::clone(&before.access),
            None => Arc::new(
                AccessLogs::open(config, metrics, clock)
                    .map_err(|log| ServeError::Log { path: log.target, source: log.source })?,
            ),
        };
        let audit = match before {
            // Another one needs another process.
            Some(before) => before.audit.clone(),
            None => crate::audit::open(config, metrics, clock)
                .map_err(|source| ServeError::Audit {
                    path: target(config).map(ToString::to_string).unwrap_or_default(),
                    source,
                })?
                .map(Arc::new),
        };
        let audit_file = match (before, &audit, target(config)) {
            (Some(before), ..) => before.audit_file.clone(),
            (None, Some(log), Some(LogTarget::File(path))) => {
                Some(Arc::new(AuditFile::new(log, path)))
            }
            _ => None,
        };
        Ok(Self { access, defined, audit, audit_file })
    }

    /// What the observer tells.
    pub(super) fn sinks(
        &self,
        config: &Resolved,
        traces: Option<&Traces>,
        metrics: Option<Arc<Metrics>>,
    ) -> Vec<Arc<dyn Sink>> {
        let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
        sinks.extend(traces.map(Traces::sink));
        sinks.extend(self.access.sinks());
        let trail = self.audit.as_ref().map(|audit| crate::audit::trail(audit, config));
        sinks.extend(trail.map(|trail| Arc::new(trail) as Arc<dyn Sink>));
        sinks.extend(metrics.map(|metrics| metrics as Arc<dyn Sink>));
        sinks
    }

    /// Goes on in the files of the same names, as after a rotation by somebody else.
    pub(super) fn reopen(&self) {
        self.access.reopen();
        if let Some(file) = &self.audit_file {
            file.reopen();
        }
    }
}

fn target(config: &Resolved) -> Option<&LogTarget> {
    config.audit_log.as_ref().map(|own| &own.target)
}
