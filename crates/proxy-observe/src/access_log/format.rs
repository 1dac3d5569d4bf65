//! What makes a line.

use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;
use proxy_core::ConnectionInfo;

use super::{AccessLogConfig, combined, json};
use crate::record::Record;
use crate::termination::Termination;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LogFormat {
    /// A JSON object.
    #[default]
    Json,
    /// The combined log format: common, and `Referer` and `User-Agent`.
    Combined,
    /// The common log format.
    Common,
}

/// What a line is made of.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LogEntry<'a> {
    /// The exchange.
    pub record: &'a Record<'a>,
    /// What of it may be shown, and how.
    pub config: &'a AccessLogConfig,
    /// Who ended it, and in which phase.
    pub termination: Termination,
    /// Whether it took longer than [`AccessLogConfig::slow_threshold`].
    pub slow: bool,
    /// Of how many its line is one, as a share, where only a sample of its kind is written.
    pub sample: Option<f64>,
}

/// A head that the edge answered itself.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RefusedHead<'a> {
    /// On which connection.
    pub connection: &'a ConnectionInfo,
    /// What was answered.
    pub status: StatusCode,
    /// Why, as a token.
    pub reason: &'static str,
    /// When.
    pub time: SystemTime,
    /// What of it may be shown, and how.
    pub config: &'a AccessLogConfig,
}

/// Makes lines: one of [`LogFormat`], a [`LogTemplate`](super::LogTemplate), or your own. Called
/// on the worker: must neither block nor panic.
///
/// A request's target, fields and ids are hostile content. What a format writes between two ends
/// of lines is one line all the same: the log turns control characters of a format that is not its
/// own into `?`.
///
/// ```
/// use proxy_observe::access_log::{LineFormat, LogEntry, RefusedHead};
///
/// /// `GET 200 --`
/// struct Brief;
///
/// impl LineFormat for Brief {
///     fn exchange(&self, line: &mut Vec<u8>, entry: &LogEntry<'_>) {
///         let status = entry.record.status.map_or(0, |status| status.as_u16());
///         let method = &entry.record.request.method;
///         line.extend_from_slice(format!("{method} {status} {}", entry.termination).as_bytes());
///     }
///     fn refused_head(&self, line: &mut Vec<u8>, head: &RefusedHead<'_>) {
///         line.extend_from_slice(format!("- {} PR", head.status.as_u16()).as_bytes());
///     }
/// }
/// # let log = proxy_observe::AccessLog::builder(Default::default()).format(Brief);
/// ```
pub trait LineFormat: Send + Sync + 'static {
    /// Appends the line of an exchange, without its end.
    fn exchange(&self, line: &mut Vec<u8>, entry: &LogEntry<'_>);

    /// Appends the line of a head that the edge refused, without its end.
    fn refused_head(&self, line: &mut Vec<u8>, head: &RefusedHead<'_>);
}

impl LineFormat for LogFormat {
    fn exchange(&self, line: &mut Vec<u8>, entry: &LogEntry<'_>) {
        match self {
            Self::Json => json::exchange(line, entry),
            Self::Combined => combined::exchange(line, entry.record, entry.config, true),
            Self::Common => combined::exchange(line, entry.record, entry.config, false),
        }
    }

    fn refused_head(&self, line: &mut Vec<u8>, head: &RefusedHead<'_>) {
        match self {
            Self::Json => json::refused_head(line, head),
            Self::Combined => combined::refused_head(line, head, true),
            Self::Common => combined::refused_head(line, head, false),
        }
    }
}

/// A format, and whether its lines must be looked through.
#[derive(Clone)]
pub(super) struct Format {
    lines: Arc<dyn LineFormat>,
    foreign: bool,
}

impl Format {
    pub(super) fn own(lines: impl LineFormat) -> Self {
        Self { lines: Arc::new(lines), foreign: false }
    }

    pub(super) fn foreign(lines: impl LineFormat) -> Self {
        Self { lines: Arc::new(lines), foreign: true }
    }

    pub(super) fn write(
        &self,
        line: &mut Vec<u8>,
        write: impl FnOnce(&dyn LineFormat, &mut Vec<u8>),
    ) {
        write(&*self.lines, line);
        if self.foreign {
            for byte in line.iter_mut().filter(|byte| byte.is_ascii_control()) {
                *byte = b'?';
            }
        }
        line.push(b'\n');
    }
}
