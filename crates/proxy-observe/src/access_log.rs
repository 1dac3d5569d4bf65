//! The access log: one line for each exchange, and for each head that the edge refused.
//!
//! Lines are appended to a bounded queue in memory; one thread, owned by [`AccessLog`], writes them
//! in large pieces, at least every 100 ms. No byte of a request reaches a line unescaped: a line
//! is printable ASCII and ends where the log ends it.
//!
//! # Which exchanges
//! [`AccessLogConfig::routes`] says of which routes; [`AccessLogConfig::sample`] of how many of
//! them. What was not complete, had a status of 500 or above, or was slow is written in any case.
//!
//! # The JSON format
//! One object a line. A field without a value is left out, except `status`, which is `null` where
//! the client left before a response was made.
//!
//! | field | value |
//! |---|---|
//! | `time` | when the head was complete, RFC 3339, UTC, milliseconds |
//! | `id` | the exchange's id |
//! | `trace_id` | the id of its trace, where it came with one or is recorded (W3C Trace Context) |
//! | `listener`, `connection` | the listener's name; the number of the client's connection |
//! | `client` | the client's address, as privacy allows, or `-` |
//! | `user` | who asked, where credentials were verified and the log is told to show it |
//! | `method`, `scheme`, `host`, `target`, `protocol` | the request; `target` is path and query, the path in its normal form; for CONNECT host and port |
//! | `status` | of the response |
//! | `request_bytes`, `response_bytes` | content, or what the tunnel carried |
//! | `since_accept_us` | from the connection's acceptance to the complete head: of the first request, what the client took |
//! | `answered_us`, `duration_us` | from the complete head to the response head; to the end of response or tunnel |
//! | `slow` | `true` where it took longer than [`AccessLogConfig::slow_threshold`] |
//! | `sample` | the share, where the line stands for others of its kind |
//! | `upstream` | of the last attempt: `name`, `address`, `reused`, `status`, `error`, `dns_us`, `connect_us`, `first_byte_us`; the number of `attempts`; and `failed`, the first 16 of those before it |
//! | `route` | the route's name |
//! | `exec` | the program that answered: `why` it ended, `exit`, `signal`, `queued_us`, `user_us`, `system_us`, `peak_memory` |
//! | `error` | the error token (RFC 9209) that the answer stands for |
//! | `cache` | what the cache did: `hit`, `stale`, `collapsed`, `bypass`, or why it asked |
//! | `denied_by`, `rule`, `reason` | layer, rule id and reason of the denial |
//! | `reported` | the ids of rules that only report and would have refused, each once, at most 16; the layer's name where a rule has no id |
//! | `coding` | `Content-Encoding` of the response |
//! | `ending` | `complete`, `client_left`, `upstream_broke`, `tunnel`; `head_refused` where there was no request |
//! | `termination` | who ended it and in which phase: [`Termination`](crate::Termination) |
//! | `tunnel_end` | why the tunnel ended |
//! | `user_agent`, `referer` | as sent, but for what [`Redaction`] hides |
//!
//! # The common and combined formats
//! As other servers write them; a client that left before the response has status 499. Bytes
//! outside printable ASCII, quotes and backslashes are written `\xHH`.
//!
//! # Formats and sinks of your own
//! A [`LogTemplate`] is text with variables; a [`LineFormat`] is any other format, an
//! [`AccessLogSink`] any place for lines. Those that are there: whatever can be
//! [written](std::io::Write) to, a [`RotatingFile`], a [`Syslog`], the [`Journal`].

mod choice;
mod combined;
mod datagrams;
pub(crate) mod facts;
mod format;
mod json;
mod queue;
mod retired;
mod rotating_file;
mod sink;
mod template;
mod writer;

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use http::header::{REFERER, USER_AGENT};
use proxy_core::{AddressPrivacy, ConnectionEvent, ConnectionInfo, PathPolicy};

pub use choice::LogRoutes;
pub use datagrams::{JOURNAL, Journal, Syslog, SyslogAddress};
pub use format::{LineFormat, LogEntry, LogFormat, RefusedHead};
pub use rotating_file::{RotatingFile, Rotation};
pub use sink::AccessLogSink;
pub use template::{LogTemplate, TemplateError, VARIABLES};

use crate::metrics::LogCounters;
use crate::observer::Sink;
use crate::record::{Record, RequestLine};
use crate::redaction::{REDACTED, Redaction};
use format::Format;
use queue::Queue;
use writer::Writer;

/// What happens to a line when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overflow {
    /// It is lost and counted. A slow disk costs lines, never a request's time.
    #[default]
    DropAndCount,
    /// The worker waits for space. A slow disk stops traffic, and no line is lost.
    Block,
}

/// What an access log writes, and how much it holds.
#[derive(Clone, Debug)]
pub struct AccessLogConfig {
    /// How a line looks, unless the [builder](AccessLogBuilder::format) is given another format.
    pub format: LogFormat,
    /// Of which routes there are lines. Default: all.
    pub routes: LogRoutes,
    /// The share of everyday exchanges that have a line, 0 to 1: of those that are complete, have
    /// a status below 500 and were not slow. Default: 1.
    pub sample: f64,
    /// What takes at least this long, from head to end, is marked as slow and never left out. Of
    /// tunnels too. Default: none.
    pub slow_threshold: Option<Duration>,
    /// How much of the client's address it shows.
    pub privacy: AddressPrivacy,
    /// What it hides of the request.
    pub redaction: Redaction,
    /// Whether it shows who asked, where credentials were verified.
    pub users: bool,
    /// How paths are brought to their normal form: as hygiene does, so that the log shows what
    /// rules were matched against. A path without one is shown as it came.
    pub path_policy: PathPolicy,
    /// The most bytes held in memory.
    pub queue_size: usize,
    /// What happens when that much is held.
    pub overflow: Overflow,
}

impl Default for AccessLogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            routes: LogRoutes::default(),
            sample: 1.0,
            slow_threshold: None,
            privacy: AddressPrivacy::default(),
            redaction: Redaction::default(),
            users: false,
            path_policy: PathPolicy::default(),
            queue_size: 8 << 20,
            overflow: Overflow::default(),
        }
    }
}

impl AccessLogConfig {
    /// `User-Agent` as lines show it.
    fn user_agent<'a>(&self, request: &'a RequestLine) -> Option<&'a [u8]> {
        let value = request.user_agent.as_ref()?.as_bytes();
        Some(if self.redaction.hides_field(&USER_AGENT) { REDACTED.as_bytes() } else { value })
    }

    /// `Referer` as lines show it.
    fn referer<'a>(&self, request: &'a RequestLine) -> Option<Cow<'a, [u8]>> {
        let value = request.referer.as_ref()?.as_bytes();
        Some(match self.redaction.hides_field(&REFERER) {
            true => Cow::Borrowed(REDACTED.as_bytes()),
            false => self.redaction.reference(value),
        })
    }
}

/// Called by the writer's thread when writing fails, at most once a minute: the error, and how
/// many writes have failed so far.
type OnError = Box<dyn FnMut(&io::Error, u64) + Send>;

/// Builds an [`AccessLog`].
#[must_use]
pub struct AccessLogBuilder {
    config: AccessLogConfig,
    format: Option<Format>,
    counters: LogCounters,
    on_error: OnError,
}

impl AccessLogBuilder {
    /// Writes lines as this format does, and not as [`AccessLogConfig::format`] says.
    pub fn format(mut self, format: impl LineFormat) -> Self {
        self.format = Some(Format::foreign(format));
        self
    }

    /// Counts lost lines and failed writes here too: [`Metrics::log_counters`].
    ///
    /// [`Metrics::log_counters`]: crate::Metrics::log_counters
    pub fn counters(mut self, counters: LogCounters) -> Self {
        self.counters = counters;
        self
    }

    /// Hears of failed writes, at most once a minute, on the writer's thread: the error, and how
    /// many writes have failed so far.
    pub fn on_error(mut self, report: impl FnMut(&io::Error, u64) + Send + 'static) -> Self {
        self.on_error = Box::new(report);
        self
    }

    /// Starts the log at the end of a file, which is made where there is none.
    ///
    /// # Errors
    /// Where the file can not be opened, or no thread can be started.
    pub fn open(self, path: impl AsRef<Path>) -> io::Result<AccessLog> {
        self.start(append_to(path.as_ref())?)
    }

    /// Starts the log into any sink. It need not buffer: it gets large pieces of whole lines.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(self, sink: impl AccessLogSink) -> io::Result<AccessLog> {
        self.start_boxed(Box::new(sink))
    }

    /// The same, of a sink that is chosen at run time.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start_boxed(self, sink: Box<dyn AccessLogSink>) -> io::Result<AccessLog> {
        let format = self.format.unwrap_or_else(|| Format::own(self.config.format));
        let queue = Arc::new(Queue::new(self.config, self.counters));
        let writer = Writer::new(Arc::clone(&queue), sink, self.on_error);
        thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        Ok(AccessLog { queue, format })
    }
}

/// An access log and its thread. Its drop writes what is queued and ends the thread; it waits for
/// that at most five seconds.
pub struct AccessLog {
    queue: Arc<Queue>,
    format: Format,
}

impl AccessLog {
    /// A log with this configuration.
    pub fn builder(config: AccessLogConfig) -> AccessLogBuilder {
        let (counters, on_error) = (LogCounters::default(), Box::new(|_: &_, _| {}));
        AccessLogBuilder { config, format: None, counters, on_error }
    }

    /// The sink for an [`Observer`](crate::Observer). What it gets once the log is dropped is
    /// lost and counted.
    pub fn sink(&self) -> Arc<dyn Sink> {
        Arc::new(Lines { queue: Arc::clone(&self.queue), format: self.format.clone() })
    }

    /// Goes on at the end of the file of this name: after a rotation, or with a new name. Where
    /// it can not be opened, the log goes on as before.
    ///
    /// # Errors
    /// Where the file can not be opened.
    pub fn reopen(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.replace(append_to(path.as_ref())?);
        Ok(())
    }

    /// Goes on in another sink.
    pub fn replace(&self, sink: impl AccessLogSink) {
        self.replace_boxed(Box::new(sink));
    }

    /// The same, of a sink that is chosen at run time.
    pub fn replace_boxed(&self, sink: Box<dyn AccessLogSink>) {
        self.queue.replace_writer(sink);
    }

    /// Waits until every line queued so far is written, or lost to an error. False where that
    /// takes longer than the limit.
    pub fn flush(&self, limit: Duration) -> bool {
        self.queue.flush(limit)
    }

    /// How many lines were lost: to a full queue, to failed writes, after the end.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// How many writes failed.
    pub fn write_errors(&self) -> u64 {
        self.queue.write_errors()
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.queue.close(Duration::from_secs(5));
    }
}

fn append_to(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLog").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// Formats lines and queues them.
struct Lines {
    queue: Arc<Queue>,
    format: Format,
}

impl Sink for Lines {
    fn finished(&self, record: &Record<'_>) {
        if let Some(entry) = choice::entry(record, self.queue.config()) {
            self.line(|format, line| format.exchange(line, &entry));
        }
    }

    fn connection(&self, on: &ConnectionInfo, event: ConnectionEvent<'_>, time: SystemTime) {
        let ConnectionEvent::HeadRefused { status, reason } = event else {
            return;
        };
        let config = self.queue.config();
        if config.routes.has_refused_heads() {
            let head = RefusedHead { connection: on, status, reason, time, config };
            self.line(|format, line| format.refused_head(line, &head));
        }
    }
}

/// A larger line's memory is given back.
const KEPT_LINE: usize = 16 << 10;

thread_local! {
    /// Lines are formatted outside the queue's lock, in memory that is used again.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Lines {
    fn line(&self, write: impl FnOnce(&dyn LineFormat, &mut Vec<u8>)) {
        let mut write = Some(write);
        let mut queue = |line: &mut Vec<u8>| {
            if let Some(write) = write.take() {
                line.clear();
                self.format.write(line, write);
                self.queue.push(line);
                line.shrink_to(KEPT_LINE);
            }
        };
        // No access while the thread ends.
        let _ = LINE.try_with(|line| match line.try_borrow_mut() {
            Ok(mut line) => queue(&mut line),
            Err(_) => queue(&mut Vec::new()),
        });
        queue(&mut Vec::new());
    }
}
