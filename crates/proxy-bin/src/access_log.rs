//! The access logs of the process: opened as the configuration says, and opened anew.

use std::fs::OpenOptions;
use std::io;
use std::sync::Arc;

use proxy_core::Clock;
use proxy_observe::access_log::{AccessLogSink, JOURNAL, Journal, RotatingFile, Syslog};
use proxy_observe::{AccessLog, AccessLogConfig, LogFormat, Metrics, Overflow, Sink};

use crate::compose::path_policy;
use crate::config::raw;
use crate::config::resolved::{self, LogTarget, Resolved};
use crate::reopening::is_at_once;

/// The name in syslog and journal.
const NAME: &str = "proxyd";

/// The access logs. Their drop writes what is queued.
pub struct AccessLogs {
    open: Vec<(AccessLog, resolved::AccessLog)>,
    clock: Arc<dyn Clock>,
}

/// A log that can not be opened.
#[derive(Debug)]
pub struct Unopened {
    /// Where it would have gone.
    pub target: String,
    /// Why not.
    pub source: io::Error,
}

impl AccessLogs {
    /// Opens all that the configuration has.
    ///
    /// # Errors
    /// Where one can not be opened.
    pub fn open(
        config: &Resolved,
        metrics: Option<&Arc<Metrics>>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Unopened> {
        let all = config.access_log.iter().chain(config.more_logs.values());
        let open = all.map(|own| {
            let log = open(config, own, metrics, clock);
            let log = log.map_err(|source| Unopened { target: own.target.to_string(), source });
            Ok((log?, own.clone()))
        });
        Ok(Self { open: open.collect::<Result<_, _>>()?, clock: Arc::clone(clock) })
    }

    /// What the observer tells.
    pub fn sinks(&self) -> impl Iterator<Item = Arc<dyn Sink>> {
        self.open.iter().map(|(log, _)| log.sink())
    }

    /// Goes on in the files of the same names, as after a rotation by somebody else. One that can
    /// not be opened goes on as before.
    pub fn reopen(&self) {
        for (log, own) in &self.open {
            if own.target == LogTarget::Stdout {
                continue;
            }
            let sink = match &own.target {
                LogTarget::File(path) => is_at_once(path).and_then(|()| sink(own, &self.clock)),
                _ => sink(own, &self.clock),
            };
            match sink {
                Ok(sink) => log.replace_boxed(sink),
                Err(error) => {
                    tracing::error!(%error, log = %own.target, "the access log cannot be reopened");
                }
            }
        }
    }
}

impl std::fmt::Debug for AccessLogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLogs").field("open", &self.open).finish_non_exhaustive()
    }
}

fn open(
    config: &Resolved,
    own: &resolved::AccessLog,
    metrics: Option<&Arc<Metrics>>,
    clock: &Arc<dyn Clock>,
) -> io::Result<AccessLog> {
    let settings = AccessLogConfig {
        format: match own.format {
            raw::LogFormat::Json | raw::LogFormat::Template => LogFormat::Json,
            raw::LogFormat::Combined => LogFormat::Combined,
            raw::LogFormat::Common => LogFormat::Common,
        },
        overflow: match own.on_full {
            raw::OnFull::DropAndCount => Overflow::DropAndCount,
            raw::OnFull::Block => Overflow::Block,
        },
        routes: own.routes.clone(),
        sample: own.sample,
        slow_threshold: own.slow_threshold,
        queue_size: own.queue_size,
        path_policy: path_policy(config),
        privacy: config.privacy.log.clone(),
        redaction: config.privacy.redaction.clone(),
        users: own.users,
    };
    let target = own.target.to_string();
    let mut builder = AccessLog::builder(settings).on_error(move |error, count| {
        tracing::error!(%error, count, log = target, "the access log cannot be written");
    });
    if let Some(metrics) = metrics {
        builder = builder.counters(metrics.log_counters());
    }
    if let Some(template) = &own.template {
        builder = builder.format(template.clone());
    }
    builder.start_boxed(sink(own, clock)?)
}

fn sink(own: &resolved::AccessLog, clock: &Arc<dyn Clock>) -> io::Result<Box<dyn AccessLogSink>> {
    Ok(match &own.target {
        LogTarget::Stdout => Box::new(io::stdout()),
        LogTarget::File(path) => match &own.rotate {
            Some(rotation) => {
                Box::new(RotatingFile::open(path, rotation.clone(), Arc::clone(clock))?)
            }
            None => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        },
        LogTarget::Syslog(address) => Box::new(Syslog::open(address.clone(), NAME)?),
        LogTarget::Journal => Box::new(Journal::open(JOURNAL, NAME)?),
    })
}
