//! The audit trail: what was refused, reported or changed, in a file that shows when it was altered.
//!
//! A record is a line of JSON with a sequence, the hash of the record before it and its own. With a
//! key each has a MAC besides, under a key of its own that is erased when it is used: see
//! [`verify`] for what that finds and what it does not.
//!
//! Records are handed over without waiting: [`AuditLog::sink`] is an [`AuditSink`] with a bounded
//! queue, and one thread, owned by [`AuditLog`], writes. [`AuditTrail`] makes the records of what
//! an [`Observer`](crate::Observer) sees, [`AuditGateLayer`] is the door at which requests wait or
//! are refused while nothing can be recorded.
//!
//! # The format
//! One object a line, whose fields come in this order. What has no value is left out.
//!
//! | field | value |
//! |---|---|
//! | `seq`, `prev` | the sequence, from 1; the hash of the record before, or zeros |
//! | `time` | when it happened, RFC 3339, UTC, milliseconds |
//! | `event` | `decision`, `connection_refused`, `head_refused`, `tunnel_closed`, `configuration`, `administration`; of the trail itself `opened`, `repeated`, `lost`, `torn`, `missing` |
//! | `id`, `client` | the exchange's id; the client's address, as privacy allows |
//! | `layer`, `rule`, `verdict`, `reason` | who decided, by which rule, what and why |
//! | `listener`, `route`, `user`, `status` | where and for whom; the answer |
//! | `detail`, `generation` | of a configuration its digest; which configuration it was, from 1 |
//! | `method`, `host`, `target` | the request, as [`Redaction`](crate::Redaction) allows; each at most 2 KiB |
//! | `duration_ms`, `sent_bytes`, `received_bytes` | of a tunnel |
//! | `hash`, `mac` | of the line up to here; under the record's key, where there is one |
//!
//! `repeated` says how often (`count`) what it names happened after it was recorded, from `first`
//! to `time`: what one client's network does again and again is recorded once and then counted
//! while a window lasts. `lost` says how many records could not be taken. `torn` notes that the
//! line before it, of so many `bytes`, is half a record. `missing` says that the key has been past
//! the records `first` to `last`, which the file has not. `opened` begins each file and each run.
//!
//! # When nothing can be written
//! That is so while the queue is full, or since a write failed and until one succeeds again.
//!
//! | | new requests | records |
//! |---|---|---|
//! | [`OnFull::DropAndCount`] | are served | are lost, counted, and a `lost` record says how many |
//! | [`OnFull::Block`] | wait at the door; after a limit they get 503 | are kept, and written when it goes again |
//! | [`OnFull::RefuseRequests`] | get 503 at once | are kept, and written when it goes again |
//!
//! No worker ever waits: a record is taken or lost at once. Requests wait at the [door](AuditGateLayer)
//! as futures, before anything is decided about them; what is decided about those that passed it
//! finds a reserve as large as the queue, and is lost, and counted, only beyond that. What never
//! becomes a request (a refused connection, say) has no door; it is [counted](AuditAnswer::Counted)
//! like other repetitions.

mod chain;
mod file;
mod fragment;
mod gate;
mod key_file;
mod line;
mod queue;
mod repeats;
mod tail;
mod trail;
pub mod verify;
mod writer;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use proxy_core::{AddressPrivacy, AuditSink, Clock};

use crate::metrics::AuditCounters;
use chain::Chain;
pub use chain::{Head, HeadError, RecordHash};
use file::TrailFile;
pub use gate::{AuditGate, AuditGateFuture, AuditGateLayer, Door};
use key_file::KeyFile;
use queue::{Order, Queue};
pub use trail::AuditTrail;
use writer::Writer;

#[cfg(doc)]
use proxy_core::AuditAnswer;

/// What happens while nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Records are lost and counted.
    DropAndCount,
    /// Requests wait at the door, this long at most.
    Block {
        /// After it they are refused.
        timeout: Duration,
    },
    /// Requests are refused.
    RefuseRequests,
}

/// When what is written is handed to the medium. A process that dies loses nothing that is written;
/// a machine that does loses what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// When the system thinks fit.
    Never,
    /// Once a second, while there is something.
    EverySecond,
    /// After each write, before the head moves on.
    EveryWrite,
}

/// Where else the head is written: an anchor is of use only where who alters the trail can not
/// alter it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadsTo {
    /// Standard error.
    Stderr,
    /// At the end of a file, which is opened anew each time.
    File(PathBuf),
}

/// How an audit log behaves.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// How much of the client's address it shows.
    pub privacy: AddressPrivacy,
    /// What happens while nothing can be written.
    pub on_full: OnFull,
    /// The bytes of records held in memory before the door shuts; a reserve of as many is for
    /// requests under way.
    pub queue_size: usize,
    /// When what is written is synced.
    pub fsync: Fsync,
    /// How long repetitions are counted instead of recorded; 0 for never.
    pub aggregate_window: Duration,
    /// How many kinds of repetitions are counted apart.
    pub aggregate_entries: usize,
    /// How often the head is told, where it moved.
    pub head_interval: Duration,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            privacy: AddressPrivacy::default(),
            on_full: OnFull::Block { timeout: Duration::from_secs(30) },
            queue_size: 4 << 20,
            fsync: Fsync::EverySecond,
            aggregate_window: Duration::from_secs(10),
            aggregate_entries: 4096,
            head_interval: Duration::from_secs(5),
        }
    }
}

/// Called by the writer's thread when writing fails, at most once a minute: the error, and how
/// many writes have failed in a row.
type OnError = Box<dyn FnMut(&io::Error, u64) + Send>;

/// Builds an [`AuditLog`].
#[must_use]
pub struct AuditLogBuilder {
    config: AuditConfig,
    clock: Arc<dyn Clock>,
    counters: AuditCounters,
    key: Option<PathBuf>,
    heads: Vec<HeadsTo>,
    on_error: OnError,
}

impl AuditLogBuilder {
    /// Counts here: [`Metrics::audit_counters`](crate::Metrics::audit_counters).
    pub fn counters(mut self, counters: AuditCounters) -> Self {
        self.counters = counters;
        self
    }

    /// The file of the key. It moves on with the chain: keep a copy elsewhere before the first
    /// record.
    pub fn key(mut self, path: impl Into<PathBuf>) -> Self {
        self.key = Some(path.into());
        self
    }

    /// A further place for heads.
    pub fn heads(mut self, to: HeadsTo) -> Self {
        self.heads.push(to);
        self
    }

    /// Hears of failed writes, at most once a minute, on the writer's thread: the error, and how
    /// many have failed in a row.
    pub fn on_error(mut self, report: impl FnMut(&io::Error, u64) + Send + 'static) -> Self {
        self.on_error = Box::new(report);
        self
    }

    /// Starts at the end of a file, which is made where there is none. The chain goes on from its
    /// last record; of an empty file, from that of the files beside it whose names begin with its
    /// own (`audit.jsonl.1`); else a new one begins.
    ///
    /// # Errors
    /// Where the file or the key can not be opened, read and written, or no thread be started.
    pub fn open(self, path: impl AsRef<Path>) -> io::Result<AuditLog> {
        let file = TrailFile::open(path.as_ref())?;
        self.begin(file)
    }

    /// Starts in any sink. It begins a new chain, or goes on where the key has come to.
    ///
    /// # Errors
    /// Where the key can not be read and written, or no thread be started.
    pub fn start(self, sink: impl Write + Send + 'static) -> io::Result<AuditLog> {
        self.begin(TrailFile::other(sink))
    }

    fn begin(self, file: TrailFile) -> io::Result<AuditLog> {
        let mut chain = Chain::default();
        let found = file.tail.head.or(file.beside);
        let mut waiting = Vec::new();
        let now = self.clock.wall();
        chain.head = found.unwrap_or_default();
        let mut key_file = None;
        if let Some(path) = &self.key {
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            };
            let (own, mut state) = KeyFile::open(path).map_err(named)?;
            let (at, key_at) = (chain.head.sequence, state.head.sequence);
            if key_at > at {
                if found.is_some() {
                    waiting.push(fragment::missing(now, at + 1, key_at));
                }
                chain.head = state.head;
            }
            let behind = at.saturating_sub(key_at);
            if behind > MOST_STEPS {
                let message = format!("this key is {behind} records behind the log");
                return Err(named(io::Error::new(io::ErrorKind::InvalidData, message)));
            }
            (0..behind).for_each(|_| state.key.advance());
            chain.key = Some(state.key);
            key_file = Some(own);
        }
        let reason = if found.is_some() { "restart" } else { "start" };
        waiting.push(fragment::opened(now, reason, chain.key.is_some()));
        let queue = Arc::new(Queue::new(self.config, self.clock, self.counters));
        let writer = Writer {
            queue: Arc::clone(&queue),
            file,
            told: chain.head,
            chain,
            key_file,
            heads: self.heads,
            on_error: self.on_error,
            failures: 0,
            reported: None,
            unsynced: false,
            synced: Instant::now(),
            told_at: Instant::now(),
            waiting,
        };
        thread::Builder::new().name("audit-log".to_owned()).spawn(move || writer.run())?;
        Ok(AuditLog { queue })
    }
}

/// How far a key may be behind its log: some seconds of computing.
const MOST_STEPS: u64 = 10_000_000;

/// An audit log and its thread. Its drop writes what is queued and ends the thread; it waits for
/// that at most five seconds.
#[derive(Debug)]
pub struct AuditLog {
    queue: Arc<Queue>,
}

impl AuditLog {
    /// A log with this configuration, and the clock that its windows go by.
    pub fn builder(config: AuditConfig, clock: Arc<dyn Clock>) -> AuditLogBuilder {
        AuditLogBuilder {
            config,
            clock,
            counters: AuditCounters::default(),
            key: None,
            heads: Vec::new(),
            on_error: Box::new(|_, _| {}),
        }
    }

    /// Where records go. What it gets once the log is dropped is lost and counted.
    pub fn sink(&self) -> Arc<dyn AuditSink> {
        Arc::<Queue>::clone(&self.queue)
    }

    /// The door for requests, where `on_full` asks for one.
    pub fn door(&self) -> Option<Door> {
        let wait = match self.queue.config.on_full {
            OnFull::DropAndCount => return None,
            OnFull::RefuseRequests => None,
            OnFull::Block { timeout } => Some((timeout, Arc::clone(&self.queue.clock))),
        };
        Some(Door::new(self.sink(), wait))
    }

    /// The number of the configuration that decides from here on.
    pub fn set_generation(&self, generation: u64) {
        self.queue.set_generation(generation);
    }

    /// Goes on at the end of the file of this name: after a rotation, or with a new name. Its
    /// first record is chained to the last of the file before. Where it can not be opened, the
    /// log goes on as before; where it is the same file, too.
    ///
    /// # Errors
    /// Where the file can not be opened.
    pub fn reopen(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.queue.order(Order::Open(TrailFile::open(path.as_ref())?));
        Ok(())
    }

    /// Waits until every record so far is written, or lost to an error; what is being counted is
    /// written too. False where that takes longer than the limit.
    pub fn flush(&self, limit: Duration) -> bool {
        self.queue.flush(limit)
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.queue.close(Duration::from_secs(5));
    }
}
