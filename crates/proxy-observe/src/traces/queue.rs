//! Spans that wait for whoever sends them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::metrics::SpanCounters;

/// See the module.
pub(super) struct Queue {
    most: usize,
    /// So many are worth a request.
    full: usize,
    counters: SpanCounters,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    spans: VecDeque<Vec<u8>>,
    /// Who sends them.
    sender: Option<Waker>,
}

impl Queue {
    pub(super) fn new(most: usize, batch: usize, counters: SpanCounters) -> Self {
        Self { most, full: batch.min(most).max(1), counters, waiting: Mutex::default() }
    }

    /// Appends the spans of one exchange; what finds no place is lost and counted.
    pub(super) fn push(&self, spans: Vec<Vec<u8>>) {
        let mut queue = self.lock();
        let places = self.most.saturating_sub(queue.spans.len()).min(spans.len());
        let lost = spans.len() - places;
        queue.spans.extend(spans.into_iter().take(places));
        let is_full = queue.spans.len() >= self.full;
        let sender = queue.sender.take_if(|_| is_full);
        drop(queue);
        if let Some(sender) = sender {
            sender.wake();
        }
        self.counters.recorded(places as u64);
        self.counters.dropped(lost as u64);
    }

    pub(super) fn take(&self, most: usize) -> Vec<Vec<u8>> {
        let mut queue = self.lock();
        let n = queue.spans.len().min(most);
        queue.spans.drain(..n).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().spans.len()
    }

    /// Ready when there are as many as are worth a request.
    pub(super) fn poll_full(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.lock();
        if queue.spans.len() >= self.full {
            return Poll::Ready(());
        }
        queue.sender = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn not_sent(&self) {
        self.counters.not_sent();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
