//! Spans that wait for whoever sends them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::metrics::SpanCounters;

/// See the module.
pub(super) struct Queue {
    most: usize,
    counters: SpanCounters,
    spans: Mutex<VecDeque<Vec<u8>>>,
}

impl Queue {
    pub(super) fn new(most: usize, counters: SpanCounters) -> Self {
        Self { most, counters, spans: Mutex::default() }
    }

    /// Appends the spans of one exchange; what finds no place is lost and counted.
    pub(super) fn push(&self, spans: Vec<Vec<u8>>) {
        let mut queue = self.lock();
        let places = self.most.saturating_sub(queue.len()).min(spans.len());
        let lost = spans.len() - places;
        queue.extend(spans.into_iter().take(places));
        drop(queue);
        self.counters.recorded(places as u64);
        self.counters.dropped(lost as u64);
    }

    pub(super) fn take(&self, most: usize) -> Vec<Vec<u8>> {
        let mut queue = self.lock();
        let n = queue.len().min(most);
        queue.drain(..n).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn not_sent(&self) {
        self.counters.not_sent();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Vec<u8>>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
