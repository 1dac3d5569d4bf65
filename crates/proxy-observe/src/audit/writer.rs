//! The writer's thread: gives records their place in the chain and writes them.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::chain::{Chain, Head};
use super::file::TrailFile;
use super::key_file::KeyFile;
use super::queue::{Order, Queue};
use super::{Fsync, HeadsTo, OnError, OnFull, fragment};

/// The most bytes of records that are written at once.
const BATCH: usize = 64 << 10;
/// Failed writes are reported no more often.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);
/// With [`Fsync::EverySecond`].
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) file: TrailFile,
    pub(super) chain: Chain,
    pub(super) key_file: Option<KeyFile>,
    pub(super) heads: Vec<HeadsTo>,
    pub(super) on_error: OnError,
    pub(super) failures: u64,
    pub(super) reported: Option<Instant>,
    /// Written and not handed to the medium.
    pub(super) unsynced: bool,
    pub(super) synced: Instant,
    /// The head that was told last, and when.
    pub(super) told: Head,
    pub(super) told_at: Instant,
    /// What the writer itself has to say, and what could not be written yet; before anything else.
    pub(super) waiting: Vec<Vec<u8>>,
}

impl Writer {
    /// Until the queue closes.
    pub(super) fn run(mut self) {
        loop {
            let retry = self.failures > 0 && !self.waiting.is_empty();
            let work = self.queue.next(retry, BATCH);
            self.waiting.extend(work.fragments);
            for order in work.orders {
                let Order::Open(file) = order;
                self.open(file);
            }
            self.write(work.lost);
            self.look_again();
            self.upkeep(work.last || work.flushing > 0);
            if !self.is_stuck() || work.last {
                self.queue.flushed(work.flushing);
            }
            if work.last {
                self.tell_head();
                return;
            }
        }
    }

    fn is_stuck(&self) -> bool {
        !self.waiting.is_empty() && self.queue.config.on_full != OnFull::DropAndCount
    }

    fn now(&self) -> SystemTime {
        self.queue.clock.wall()
    }

    fn open(&mut self, file: TrailFile) {
        if self.file.is(&file) {
            return;
        }
        if let Err(error) = self.file.sync() {
            self.failed(&error);
        }
        let (now, keyed) = (self.now(), self.chain.key.is_some());
        let mut first = vec![fragment::opened(now, "reopen", keyed)];
        // Half a line that the old file ends with is noted in the new one.
        if self.file.torn() > 0 {
            first.insert(0, fragment::torn(now, self.file.torn()));
        }
        self.waiting.splice(0..0, first);
        self.file = file;
    }

    fn write(&mut self, lost: u64) {
        if lost > 0 {
            self.waiting.insert(0, fragment::lost(self.now(), lost));
        }
        let torn = self.file.torn();
        if torn > 0 && !self.waiting.is_empty() {
            self.waiting.insert(0, fragment::torn(self.now(), torn));
        }
        if self.waiting.is_empty() {
            return;
        }
        // A copy moves on: if writing fails, the chain stays where the file is. The keys of the
        // copies are erased with them.
        let mut chain = self.chain.clone();
        let mut lines = Vec::new();
        let mut states = Vec::with_capacity(self.waiting.len());
        for fragment in &self.waiting {
            chain.append(&mut lines, fragment);
            states.push((lines.len(), chain.clone()));
        }
        let result = self.file.write(&lines).and_then(|()| match self.queue.config.fsync {
            Fsync::EveryWrite => self.file.sync().map_err(|error| (error, lines.len())),
            Fsync::EverySecond | Fsync::Never => Ok(()),
        });
        let whole = result.as_ref().map_or_else(|(_, whole)| *whole, |()| lines.len());
        let written = states.iter().take_while(|(end, _)| *end <= whole).count();
        if let Some((_, chain)) = written.checked_sub(1).and_then(|at| states.get(at)) {
            self.chain = chain.clone();
            self.unsynced = self.queue.config.fsync != Fsync::EveryWrite;
            self.store_key();
            self.queue.counters.head(&self.chain.head, written as u64);
        }
        let own = usize::from(torn > 0);
        // The notes at the front are made anew where they could not be written.
        let notes = own + usize::from(lost > 0);
        let stated = if lost > 0 && written > own { lost } else { 0 };
        let bytes_of = |all: &[Vec<u8>]| all.iter().map(Vec::len).sum::<usize>();
        let from = notes.min(self.waiting.len());
        let done = written.max(from);
        let mut settled = bytes_of(&self.waiting[from..done]);
        let mut dropped = 0;
        self.waiting.drain(..done);
        if let Err((error, _)) = result {
            if self.queue.config.on_full == OnFull::DropAndCount {
                settled += bytes_of(&self.waiting);
                dropped = self.waiting.len() as u64;
                self.waiting.clear();
            }
            self.failed(&error);
        } else {
            self.failures = 0;
        }
        self.queue.settle(settled, stated, dropped, self.failures > 0);
    }

    /// Where only the sync failed there is nothing to write again, and the door would stay shut.
    fn look_again(&mut self) {
        if self.failures > 0 && self.waiting.is_empty() && self.file.sync().is_ok() {
            self.failures = 0;
            self.queue.settle(0, 0, 0, false);
        }
    }

    /// What is due: sync, head.
    fn upkeep(&mut self, now: bool) {
        if self.unsynced
            && self.queue.config.fsync == Fsync::EverySecond
            && (now || self.synced.elapsed() >= SYNC_INTERVAL)
        {
            self.synced = Instant::now();
            match self.file.sync() {
                Ok(()) => self.unsynced = false,
                Err(error) => self.report(&error),
            }
        }
        if self.told_at.elapsed() >= self.queue.config.head_interval || now {
            self.tell_head();
        }
    }

    fn tell_head(&mut self) {
        self.told_at = Instant::now();
        if self.told == self.chain.head || self.chain.head == Head::default() {
            return;
        }
        self.told = self.chain.head;
        let mut line = Vec::new();
        crate::date::Civil::of(self.now()).rfc3339(&mut line);
        let _ = writeln!(line, " {}", self.chain.head);
        let told: Vec<_> = self.heads.iter_mut().map(|heads| heads.tell(&line)).collect();
        for error in told.into_iter().filter_map(Result::err) {
            self.report(&error);
        }
    }

    fn store_key(&mut self) {
        if let Some(key_file) = &self.key_file
            && let Err(error) = key_file.store(&self.chain)
        {
            self.report(&error);
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.failures += 1;
        self.report(error);
    }

    fn report(&mut self, error: &io::Error) {
        self.queue.counters.write_failed();
        let now = Instant::now();
        if self.reported.is_none_or(|last| now.saturating_duration_since(last) >= REPORT_INTERVAL) {
            self.reported = Some(now);
            (self.on_error)(error, self.failures);
        }
    }
}

impl Drop for Writer {
    /// Also when something panics: nobody may wait for this thread then.
    fn drop(&mut self) {
        self.queue.counters.dropped(self.waiting.len() as u64);
        self.queue.writer_gone();
    }
}

impl HeadsTo {
    fn tell(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().write_all(&[b"audit head ", line].concat()),
            // Opened anew each time: whoever rotates it need tell nobody.
            Self::File(path) => append(path, line),
        }
    }
}

fn append(path: &PathBuf, line: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.write_all(line)
}
