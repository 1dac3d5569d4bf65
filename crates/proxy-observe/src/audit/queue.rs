//! The bounded queue between those who record and the writer's thread, and the state they share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proxy_core::{AuditAnswer, AuditRecord, AuditSink, Clock};

use super::fragment::{self, Pieces};
use super::repeats::{Happening, Repeats};
use super::{AuditConfig, OnFull};
use crate::metrics::AuditCounters;

/// How often the writer looks for windows that are over and heads that are due.
const TICK: Duration = Duration::from_millis(250);

/// See the module.
pub(super) struct Queue {
    pub(super) config: AuditConfig,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: AuditCounters,
    generation: AtomicU64,
    /// The queue has room and the last write did not fail.
    open: AtomicBool,
    state: Mutex<State>,
    /// For the writer: there is something to do.
    work: Condvar,
    /// For `flush` and `close`.
    progress: Condvar,
}

struct State {
    pending: VecDeque<Vec<u8>>,
    /// Bytes of `pending`, and of what the writer has taken and not yet written.
    held: usize,
    repeats: Repeats,
    /// Records lost that no record states yet.
    lost: u64,
    failing: bool,
    /// Somebody waits for everything to be written.
    flushing: u64,
    flushed: u64,
    orders: VecDeque<Order>,
    closing: bool,
    /// The writer is gone.
    closed: bool,
}

/// What the writer is told to do beside writing.
#[derive(Debug)]
pub(super) enum Order {
    /// Go on in this file.
    Open(super::file::TrailFile),
}

/// What the writer does next.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) fragments: Vec<Vec<u8>>,
    /// Records lost that no record states yet.
    pub(super) lost: u64,
    pub(super) orders: VecDeque<Order>,
    /// The count of flushes asked for so far.
    pub(super) flushing: u64,
    pub(super) last: bool,
}

impl Queue {
    pub(super) fn new(config: AuditConfig, clock: Arc<dyn Clock>, counters: AuditCounters) -> Self {
        let repeats = Repeats::new(config.aggregate_window, config.aggregate_entries);
        Self {
            config,
            clock,
            counters,
            generation: AtomicU64::new(0),
            open: AtomicBool::new(true),
            state: Mutex::new(State {
                pending: VecDeque::new(),
                held: 0,
                repeats,
                lost: 0,
                failing: false,
                flushing: 0,
                flushed: 0,
                orders: VecDeque::new(),
                closing: false,
                closed: false,
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    pub(super) fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Relaxed);
    }

    /// The most bytes held: records of requests under way find room where new requests wait.
    const fn hard_limit(&self) -> usize {
        match self.config.on_full {
            OnFull::DropAndCount => self.config.queue_size,
            OnFull::Block { .. } | OnFull::RefuseRequests => self.config.queue_size * 2,
        }
    }

    pub(super) fn order(&self, order: Order) {
        self.lock().orders.push_back(order);
        self.work.notify_one();
    }

    /// Waits until what is queued now is written or lost.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        state.flushing += 1;
        let until = state.flushing;
        self.work.notify_one();
        let waiting = |state: &mut State| state.flushed < until && !state.closed;
        let waited = self.progress.wait_timeout_while(state, limit, waiting);
        waited.unwrap_or_else(PoisonError::into_inner).0.flushed >= until
    }

    /// Ends the writer and waits for it.
    pub(super) fn close(&self, limit: Duration) {
        let mut state = self.lock();
        state.closing = true;
        self.work.notify_one();
        drop(self.progress.wait_timeout_while(state, limit, |state| !state.closed));
    }

    /// For the writer: waits for work, a tick at most, and takes it. With nothing to retry it
    /// takes up to `limit` bytes.
    pub(super) fn next(&self, retry: bool, limit: usize) -> Work {
        let mut state = self.lock();
        let idle = |state: &mut State| {
            state.pending.is_empty()
                && state.orders.is_empty()
                && state.flushing == state.flushed
                && !state.closing
        };
        if retry {
            // What failed is tried again at the next tick; orders may mend it before.
            let waiting = |state: &mut State| state.orders.is_empty() && !state.closing;
            let waited = self.work.wait_timeout_while(state, TICK, waiting);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        } else {
            let waited = self.work.wait_timeout_while(state, TICK, idle);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let now = self.clock.now();
        let all = state.closing || state.flushing != state.flushed;
        for entry in state.repeats.take_over(now, all) {
            let fragment = fragment::repeated(&entry);
            state.held += fragment.len();
            state.pending.push_back(fragment);
        }
        let mut taken = 0;
        let mut fragments = Vec::new();
        while !retry && taken < limit {
            let Some(fragment) = state.pending.pop_front() else { break };
            taken += fragment.len();
            fragments.push(fragment);
        }
        Work {
            fragments,
            lost: state.lost,
            orders: std::mem::take(&mut state.orders),
            flushing: if state.pending.is_empty() { state.flushing } else { state.flushed },
            // What can not be written is not waited for at the end.
            last: state.closing && (retry || state.pending.is_empty()),
        }
    }

    /// For the writer: so many bytes are out of its hands, written or lost.
    pub(super) fn settle(&self, bytes: usize, stated: u64, lost: u64, failing: bool) {
        let mut state = self.lock();
        state.held = state.held.saturating_sub(bytes);
        state.lost = state.lost - stated.min(state.lost) + lost;
        state.failing = failing;
        self.judge(&state);
        drop(state);
        if lost > 0 {
            self.counters.dropped(lost);
        }
    }

    /// For the writer: all that was queued before this flush is written, or lost.
    pub(super) fn flushed(&self, flushing: u64) {
        let mut state = self.lock();
        state.flushed = state.flushed.max(flushing);
        drop(state);
        self.progress.notify_all();
    }

    /// For the writer: it is gone. What is still queued is lost.
    pub(super) fn writer_gone(&self) {
        let mut state = self.lock();
        state.closed = true;
        let lost = state.pending.len() as u64;
        state.pending.clear();
        self.judge(&state);
        drop(state);
        self.counters.dropped(lost);
        self.progress.notify_all();
    }

    /// Opens or shuts the door.
    fn judge(&self, state: &State) {
        let open = !state.closed && !state.failing && state.held < self.config.queue_size;
        self.open.store(open, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, state: &mut State) -> AuditAnswer {
        state.lost += 1;
        self.counters.dropped(1);
        AuditAnswer::Lost
    }
}

impl AuditSink for Queue {
    fn record(&self, record: &AuditRecord<'_>) -> AuditAnswer {
        let generation = self.generation.load(Ordering::Relaxed);
        let pieces = Pieces::of(record, &self.config.privacy, generation);
        let now: Instant = self.clock.now();
        let mut state = self.lock();
        if state.closing || state.closed {
            return self.lose(&mut state);
        }
        if let Some(client) = record.client() {
            let event = Happening {
                client: client.key(32, 64),
                shown: &pieces.client,
                rest: &pieces.rest,
                time: record.time,
                carried: record.carried,
            };
            if state.repeats.count(&event, now) {
                self.counters.repeated();
                return AuditAnswer::Counted;
            }
        }
        let fragment = pieces.whole(record);
        if state.held + fragment.len() > self.hard_limit() {
            return self.lose(&mut state);
        }
        state.held += fragment.len();
        let idle = state.pending.is_empty();
        state.pending.push_back(fragment);
        self.judge(&state);
        drop(state);
        if idle {
            self.work.notify_one();
        }
        AuditAnswer::Taken
    }

    fn can_take(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("config", &self.config).finish_non_exhaustive()
    }
}
