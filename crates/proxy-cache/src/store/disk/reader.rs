//! Reads a range of a file's content, block by block.

use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::content::{ContentFile, Opened};
use super::format::{self, BLOCK, BLOCK_ON_DISK};
use super::pool::{Job, Lane};
use crate::store::{BodyReader, StoreError, WholeRead};

/// Blocks that are read before they are asked for, and held for a client that is slow.
const AHEAD: usize = 2;

/// A reader. One job for it is in the queue or being done, and only once it was asked.
pub(super) struct DiskReader {
    shared: Arc<Shared>,
    /// What was not given yet.
    left: Range<u64>,
}

struct Shared {
    file: Arc<ContentFile>,
    end: u64,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    ready: VecDeque<Result<Bytes, StoreError>>,
    /// Where the next read begins.
    next: u64,
    waker: Option<Waker>,
    is_reading: bool,
    /// The handle, from the first read on.
    open: Option<Arc<File>>,
    /// All that was read, for who wants it whole.
    whole: Option<(Vec<Bytes>, Arc<WholeRead>)>,
}

impl DiskReader {
    pub(super) fn new(file: &Arc<ContentFile>, range: Range<u64>) -> Self {
        let is_whole = range == (0..file.len);
        let told = is_whole.then(|| file.environment.whole_read(file.len)).flatten();
        let whole = told.map(|told| (Vec::new(), told));
        let left = range.start.min(file.len)..range.end.min(file.len);
        let slot = Slot { whole, next: left.start, ..Slot::default() };
        let file = Arc::clone(file);
        Self { shared: Arc::new(Shared { file, end: left.end, slot: Mutex::new(slot) }), left }
    }
}

impl BodyReader for DiskReader {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StoreError>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let mut slot = self.shared.lock();
        let ready = slot.ready.pop_front();
        if ready.is_none() {
            match &mut slot.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        self.left.start = match &ready {
            None => self.left.start,
            Some(Ok(bytes)) => self.left.start + bytes.len() as u64,
            // It is over.
            Some(Err(_)) => self.left.end,
        };
        if !slot.is_reading && slot.next < self.left.end && !self.left.is_empty() {
            slot.is_reading = true;
            drop(slot);
            self.shared.file.environment.pool.submit_boxed(Lane::Read, self.shared.job());
        }
        ready.map_or(Poll::Pending, |ready| Poll::Ready(Some(ready)))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn job(self: &Arc<Self>) -> Job {
        let shared = Arc::clone(self);
        Box::new(move || shared.run())
    }

    /// On a thread of the pool: reads on until enough is ready.
    fn run(self: Arc<Self>) {
        // Once its reader is gone there is no other owner.
        while Arc::strong_count(&self) > 1 {
            let (open, next) = {
                let slot = self.lock();
                (slot.open.clone(), slot.next)
            };
            let opened = match open {
                Some(file) => Ok(Opened::File(file)),
                None => self.file.open(|| self.job()),
            };
            let result = match opened {
                Ok(Opened::Later) => return,
                Ok(Opened::File(open)) => {
                    let result = self.read_block(&open, &(next..self.end));
                    self.lock().open = Some(open);
                    result
                }
                Err(error) => Err(error.into()),
            };
            if !self.hand_over(result) {
                return;
            }
        }
    }

    /// Tells whether to read on.
    fn hand_over(&self, result: Result<Bytes, StoreError>) -> bool {
        if result.is_err() {
            self.file.environment.read_failed(&self.file);
        }
        let mut slot = self.lock();
        slot.next = result.as_ref().map_or(self.end, |bytes| slot.next + bytes.len() as u64);
        let is_over = slot.next >= self.end;
        if let (Ok(bytes), Some((read, _))) = (&result, &mut slot.whole) {
            read.push(bytes.clone());
        }
        let whole = slot.whole.take_if(|_| is_over && result.is_ok());
        slot.ready.push_back(result);
        slot.is_reading = !is_over && slot.ready.len() < AHEAD;
        let goes_on = slot.is_reading;
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some((read, told)) = whole {
            self.tell(read, &told);
        }
        goes_on
    }

    fn read_block(&self, open: &File, left: &Range<u64>) -> Result<Bytes, StoreError> {
        let file = &*self.file;
        let block = left.start / BLOCK;
        let start = block * BLOCK;
        let size = (file.len - start).min(BLOCK) as usize;
        let mut bytes = vec![0; size + 4];
        file.environment.medium.read(open, &mut bytes, file.start + block * BLOCK_ON_DISK)?;
        let (content, sum) = bytes.split_at(size);
        if sum != format::block_sum(file.id, block, content) {
            return Err(StoreError::Damaged);
        }
        let end = size.min((left.end - start) as usize);
        Ok(Bytes::from(bytes).slice((left.start - start) as usize..end))
    }

    fn tell(&self, read: Vec<Bytes>, told: &WholeRead) {
        let store = self.file.environment.store.get().and_then(std::sync::Weak::upgrade);
        if let Some(stored) = store.and_then(|store| store.find(&self.file)) {
            told(&stored, read);
        }
    }
}
