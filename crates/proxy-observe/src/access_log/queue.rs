//! The bounded queue between workers and the writer's thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::sink::AccessLogSink;
use super::{AccessLogConfig, Overflow};
use crate::metrics::LogCounters;

/// A queue with this much is written at once; a small one when a quarter is full.
const LARGE: usize = 256 << 10;
/// The longest a line waits in memory.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

pub(super) type Output = Box<dyn AccessLogSink>;

/// See the module.
pub(super) struct Queue {
    config: AccessLogConfig,
    counters: LogCounters,
    dropped: AtomicU64,
    write_errors: AtomicU64,
    state: Mutex<State>,
    /// For the writer: there is something to do.
    work: Condvar,
    /// For workers that block, and for `flush`: a piece is written, or the writer is gone.
    progress: Condvar,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    /// Bytes that the writer has taken and not yet written.
    in_flight: usize,
    /// Bytes ever queued, and of these those written or lost.
    queued: u64,
    settled: u64,
    /// The writer sleeps until it is called; who calls it clears this.
    asleep: bool,
    /// Somebody waits for the queue to be empty.
    hurry: bool,
    closing: bool,
    /// The writer is gone.
    closed: bool,
    next_output: Option<Output>,
}

/// What the writer does next.
pub(super) struct Work {
    /// The file changed.
    pub(super) output: Option<Output>,
    /// This is the last of it.
    pub(super) last: bool,
}

impl Queue {
    pub(super) fn new(config: AccessLogConfig, counters: LogCounters) -> Self {
        Self {
            config,
            counters,
            dropped: AtomicU64::new(0),
            write_errors: AtomicU64::new(0),
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    fn large(&self) -> usize {
        LARGE.min(self.config.queue_size / 4)
    }

    pub(super) const fn config(&self) -> &AccessLogConfig {
        &self.config
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn write_errors(&self) -> u64 {
        self.write_errors.load(Ordering::Relaxed)
    }

    /// Whether lines are waited for until the end of the log.
    pub(super) fn is_patient(&self) -> bool {
        self.config.overflow == Overflow::Block && !self.lock().closing
    }

    /// Counts lost lines.
    pub(super) fn lose(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
        self.counters.dropped(lines);
    }

    /// Counts a failed write; gives the number so far.
    pub(super) fn write_failed(&self) -> u64 {
        self.counters.write_failed();
        self.write_errors.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Appends a line, or loses it.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if self.config.overflow == Overflow::Block && line.len() <= self.config.queue_size {
            while !state.has_space(line.len(), self.config.queue_size) && !state.ends() {
                self.work.notify_one();
                state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if state.ends() || !state.has_space(line.len(), self.config.queue_size) {
            drop(state);
            return self.lose(1);
        }
        let before = state.pending.len();
        state.pending.extend_from_slice(line);
        state.queued += line.len() as u64;
        // A sleeping writer is called, and a large queue calls it early: no line costs a system
        // call of its own. The lock is free by then, or the writer would wake to wait for it.
        let calls = std::mem::take(&mut state.asleep)
            || (before < self.large() && state.pending.len() >= self.large());
        drop(state);
        if calls {
            self.work.notify_one();
        }
    }

    pub(super) fn replace_writer(&self, output: Output) {
        let mut state = self.lock();
        state.next_output = Some(output);
        self.work.notify_one();
    }

    /// Waits until what is queued now is written or lost.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        let until = state.queued;
        state.hurry = true;
        self.work.notify_one();
        let waiting = |state: &mut State| state.settled < until && !state.closed;
        let (state, _) = self
            .progress
            .wait_timeout_while(state, limit, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        state.settled >= until
    }

    /// Ends the writer and waits for it.
    pub(super) fn close(&self, limit: Duration) {
        let mut state = self.lock();
        state.closing = true;
        self.work.notify_one();
        self.progress.notify_all();
        drop(self.progress.wait_timeout_while(state, limit, |state| !state.closed));
    }

    /// For the writer: waits for work and takes it. `batch` is empty, and comes back filled.
    pub(super) fn next(&self, batch: &mut Vec<u8>) -> Work {
        let mut state = self.lock();
        let mut deadline = Instant::now() + FLUSH_INTERVAL;
        while state.pending.len() < self.large() && !state.urgent() {
            let left = deadline.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                let woken = self.work.wait_timeout(state, left);
                state = woken.unwrap_or_else(PoisonError::into_inner).0;
            } else if state.pending.is_empty() {
                state.asleep = true;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.asleep = false;
                deadline = Instant::now() + FLUSH_INTERVAL;
            } else {
                break;
            }
        }
        state.hurry = false;
        std::mem::swap(&mut state.pending, batch);
        state.in_flight = batch.len();
        Work { output: state.next_output.take(), last: state.closing }
    }

    /// For the writer: the piece is written, or lost.
    pub(super) fn settle(&self) {
        let mut state = self.lock();
        state.settled += state.in_flight as u64;
        state.in_flight = 0;
        drop(state);
        self.progress.notify_all();
    }

    /// For the writer: it is gone. What is still queued is lost.
    pub(super) fn writer_gone(&self) {
        let mut state = self.lock();
        state.closed = true;
        let lost = std::mem::take(&mut state.pending);
        drop(state);
        self.lose(count_lines(&lost));
        self.progress.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn has_space(&self, line: usize, limit: usize) -> bool {
        self.pending.len() + self.in_flight + line <= limit
    }

    const fn ends(&self) -> bool {
        self.closing || self.closed
    }

    const fn urgent(&self) -> bool {
        self.hurry || self.closing || self.next_output.is_some()
    }
}

pub(super) fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&b| b == b'\n').count() as u64
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("config", &self.config).finish_non_exhaustive()
    }
}
