//! A fill: one response's content on its way from upstream, read by any number of clients and
//! written to the store.
//!
//! No task drives it: whichever reader runs takes the next bytes from upstream for all, and each
//! reads them at its own pace. So the reader that began it may leave while others read on, nobody
//! is woken but by bytes, and with the last reader the upstream exchange ends at once (unless it
//! is to be finished for the store's sake).

mod reader;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use proxy_core::BoxError;

use crate::store::{StoreError, StoreWriter, Stored, StoredHead};
use crate::wakers::{Ticket, Wakers};

pub(crate) use reader::FillReader;

/// Content of any type.
pub(crate) type Source = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// What is told of a fill.
pub(crate) trait FillObserver: Send + Sync {
    /// Whether it may still be stored.
    fn is_current(&self, head: &StoredHead) -> bool;

    /// It has ended; stored, or not. Called under the fill's lock.
    fn ended(&self, stored: Option<&Arc<Stored>>);

    /// The store takes no more of it.
    fn gave_up(&self, error: &StoreError);

    /// Its last reader has left before the end. `shared`: more than one had read it. Whoever keeps
    /// the fill and polls it to its end has it stored.
    /// True where somebody does.
    fn abandoned(&self, fill: &Arc<Fill>, shared: bool) -> bool;

    /// What the content of all fills that is on its way may take.
    fn budget(&self) -> &Budget;
}

/// Bytes that all fills of a layer hold for their readers.
#[derive(Debug)]
pub(crate) struct Budget {
    held: AtomicUsize,
    limit: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { held: AtomicUsize::new(0), limit }
    }

    /// Adds; whether there is still room.
    fn add(&self, bytes: usize) -> bool {
        self.held.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.limit
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What a chunk costs beside its bytes.
const CHUNK_COST: usize = 64;

/// Content that the slowest reader has not taken, where it is not kept for the store anyway.
const WINDOW: usize = 1024 * 1024;

/// See the [module](self).
pub(crate) struct Fill {
    pub(crate) head: Arc<StoredHead>,
    /// Content length, where it is known.
    pub(crate) len: Option<u64>,
    state: Mutex<State>,
    wakers: Arc<Wakers>,
    observer: Arc<dyn FillObserver>,
}

struct State {
    source: Option<Source>,
    writer: Option<Box<dyn StoreWriter>>,
    /// Bytes that some reader may still want; from the first on, while all are kept.
    chunks: VecDeque<Bytes>,
    /// Whether all are kept, so that newcomers find the first: while the store takes them, and
    /// there is room.
    keeps_all: bool,
    /// Somebody polls it to its end though nobody reads it.
    adopted: bool,
    /// Chunks before the first of them.
    dropped: usize,
    /// Bytes of `chunks`.
    held: usize,
    received: u64,
    trailers: Option<HeaderMap>,
    end: Option<End>,
    /// The next chunk of each reader.
    readers: Vec<Option<usize>>,
    /// Readers there ever were.
    joined: usize,
    /// Nothing came of the last poll; polling again before a wake-up would be for nothing.
    idle: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    Broken,
}

/// Why content ended before it was whole.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the content broke off upstream")]
pub struct BrokenContent;

impl Fill {
    pub(crate) fn new(
        head: Arc<StoredHead>,
        len: Option<u64>,
        source: Source,
        writer: Box<dyn StoreWriter>,
        observer: Arc<dyn FillObserver>,
    ) -> Arc<Self> {
        Arc::new(Self {
            head,
            len,
            state: Mutex::new(State {
                source: Some(source),
                writer: Some(writer),
                chunks: VecDeque::new(),
                keeps_all: true,
                adopted: false,
                dropped: 0,
                held: 0,
                received: 0,
                trailers: None,
                end: None,
                readers: Vec::new(),
                joined: 0,
                idle: false,
            }),
            wakers: Arc::default(),
            observer,
        })
    }

    /// Begins with content that is already there: the part of a representation that was stored.
    pub(crate) fn begin_with(&self, chunks: impl IntoIterator<Item = Bytes>) {
        let mut state = self.lock();
        for chunk in chunks {
            self.take(&mut state, chunk);
        }
    }

    /// Whether a further reader could read it from its first byte on.
    pub(crate) fn is_joinable(&self) -> bool {
        let state = self.lock();
        state.dropped == 0 && state.keeps_all && state.end != Some(End::Broken)
    }

    /// A place to wait at.
    pub(crate) fn ticket(&self) -> Ticket {
        self.wakers.ticket()
    }

    /// Polls until it has ended, for the store alone.
    pub(crate) fn poll_finish(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<()> {
        self.wakers.wait(ticket, cx);
        let mut state = self.lock();
        loop {
            // Once the store has given up nobody is left to want it.
            if state.end.is_some() || state.writer.is_none() {
                return Poll::Ready(());
            }
            if self.poll_source(&mut state).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Takes the next frame from upstream for all readers. Ready: something has changed.
    fn poll_source(&self, state: &mut State) -> Poll<()> {
        let Some(source) = &mut state.source else { return Poll::Ready(()) };
        if !state.keeps_all && state.held >= WINDOW {
            // Woken by the slowest reader.
            return Poll::Pending;
        }
        if state.idle && !self.wakers.take_woken() {
            return Poll::Pending;
        }
        self.wakers.take_woken();
        let waker = Waker::from(Arc::clone(&self.wakers));
        let mut cx = Context::from_waker(&waker);
        let poll = source.as_mut().poll_frame(&mut cx);
        state.idle = poll.is_pending();
        let Poll::Ready(frame) = poll else { return Poll::Pending };
        let over = source.is_end_stream();
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => {
                if !data.is_empty() {
                    self.take(state, data);
                }
                match self.len {
                    Some(len) if state.received > len => self.finish(state, End::Broken),
                    // A reader that knows the length may never ask for the end.
                    Some(len) if state.received == len && over => self.finish(state, End::Complete),
                    _ => {}
                }
            }
            Some(Ok(Err(frame))) => state.trailers = frame.into_trailers().ok(),
            Some(Err(_)) => self.finish(state, End::Broken),
            None if self.len.is_some_and(|len| state.received != len) => {
                self.finish(state, End::Broken);
            }
            None => self.finish(state, End::Complete),
        }
        self.wakers.wake_all();
        Poll::Ready(())
    }

    fn take(&self, state: &mut State, data: Bytes) {
        state.received += data.len() as u64;
        if let Some(writer) = &mut state.writer
            && let Err(error) = writer.write(data.clone())
        {
            // It passes through unstored, and nobody new may join.
            self.observer.gave_up(&error);
            state.writer = None;
            state.keeps_all = false;
        }
        state.held += data.len();
        if !self.observer.budget().add(data.len() + CHUNK_COST) {
            state.keeps_all = false;
        }
        state.chunks.push_back(data);
        self.trim(state);
    }

    /// Lets go what every reader has taken, where not all is kept.
    fn trim(&self, state: &mut State) {
        if state.keeps_all {
            return;
        }
        let slowest = state.readers.iter().flatten().min().copied();
        let slowest = slowest.unwrap_or(state.dropped + state.chunks.len());
        while state.dropped < slowest
            && let Some(chunk) = state.chunks.pop_front()
        {
            state.dropped += 1;
            state.held -= chunk.len();
            self.observer.budget().give_back(chunk.len() + CHUNK_COST);
        }
    }

    fn finish(&self, state: &mut State, end: End) {
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        state.source = None;
        let writer = state.writer.take();
        let stored = match end {
            End::Complete
                if !self.observer.is_current(&self.head) || !self.is_whole_part(state) =>
            {
                None
            }
            End::Complete => writer.and_then(|writer| writer.commit(state.trailers.clone()).ok()),
            End::Broken => None,
        };
        // What the store has is found there from now on.
        state.keeps_all = false;
        self.observer.ended(stored.as_ref());
        self.wakers.wake_all();
    }

    /// A part is as long as the range that it claims to be.
    fn is_whole_part(&self, state: &State) -> bool {
        let part = self.head.part.as_ref();
        part.is_none_or(|part| part.range.end - part.range.start == state.received)
    }

    /// A reader's place is free again.
    fn leave(self: &Arc<Self>, place: usize) {
        let mut state = self.lock();
        state.readers[place] = None;
        let last = state.readers.iter().all(Option::is_none);
        let held = state.held;
        self.trim(&mut state);
        if !last {
            // The others may have waited for this one.
            if state.held < held {
                self.wakers.wake_all();
            }
            return;
        }
        if state.end.is_some() {
            return;
        }
        if self.len == Some(state.received) {
            self.finish(&mut state, End::Complete);
            return;
        }
        let (wanted, shared) = (state.writer.is_some() && !state.adopted, state.joined > 1);
        drop(state);
        if wanted && self.observer.abandoned(self, shared) {
            self.lock().adopted = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the source was polled leaves a source that will not be polled again.
        self.state.lock().unwrap_or_else(|poisoned| {
            let mut state = PoisonError::into_inner(poisoned);
            self.state.clear_poison();
            self.finish(&mut state, End::Broken);
            state
        })
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let held: usize = state.chunks.iter().map(|chunk| chunk.len() + CHUNK_COST).sum();
        self.observer.budget().give_back(held);
        if state.end.is_none() {
            self.observer.ended(None);
        }
    }
}

impl std::fmt::Debug for Fill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fill").field("len", &self.len).finish_non_exhaustive()
    }
}
