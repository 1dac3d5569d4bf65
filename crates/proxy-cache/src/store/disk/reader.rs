//! Reads a range of a file's content, block by block.

use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::content::{ContentFile, Opened};
use super::format::{self, BLOCK, BLOCK_ON_DISK};
use super::pool::{Job, Lane};
use crate::store::{BodyReader, StoreError, WholeRead};

/// Blocks that are read at once, and held for a client that is slow.
const BLOCKS: u64 = 2;

/// A reader. One read is under way at most, and only when asked for.
pub(super) struct DiskReader {
    shared: Arc<Shared>,
    /// What was not given yet.
    left: Range<u64>,
}

struct Shared {
    file: Arc<ContentFile>,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    ready: Option<Result<Bytes, StoreError>>,
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
        let slot = Slot { whole: told.map(|told| (Vec::new(), told)), ..Slot::default() };
        let left = range.start.min(file.len)..range.end.min(file.len);
        Self { shared: Arc::new(Shared { file: Arc::clone(file), slot: Mutex::new(slot) }), left }
    }
}

impl BodyReader for DiskReader {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StoreError>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let mut slot = self.shared.lock();
        if let Some(ready) = slot.ready.take() {
            drop(slot);
            self.left.start = match &ready {
                Ok(bytes) => self.left.start + bytes.len() as u64,
                // It is over.
                Err(_) => self.left.end,
            };
            return Poll::Ready(Some(ready));
        }
        match &mut slot.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        if !slot.is_reading {
            slot.is_reading = true;
            drop(slot);
            let job = self.shared.job(self.left.clone());
            self.shared.file.environment.pool.submit_boxed(Lane::Read, job);
        }
        Poll::Pending
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn job(self: &Arc<Self>, left: Range<u64>) -> Job {
        let shared = Arc::clone(self);
        Box::new(move || shared.read(left))
    }

    /// On a thread of the pool.
    fn read(self: Arc<Self>, left: Range<u64>) {
        if Arc::strong_count(&self) == 1 {
            // The reader is gone.
            return;
        }
        let end = left.end;
        let open = self.lock().open.clone();
        let opened = match open {
            Some(file) => Ok(Opened::File(file)),
            None => self.file.open(|| self.job(left.clone())),
        };
        let result = match opened {
            Ok(Opened::Later) => return,
            Ok(Opened::File(open)) => {
                let result = self.read_blocks(&open, &left);
                self.lock().open = Some(open);
                result
            }
            Err(error) => Err(error.into()),
        };
        if result.is_err() {
            self.file.environment.read_failed(&self.file);
        }
        let mut slot = self.lock();
        let mut whole = None;
        if let (Ok(bytes), Some((read, _))) = (&result, &mut slot.whole) {
            read.push(bytes.clone());
            if left.start + bytes.len() as u64 == end {
                whole = slot.whole.take();
            }
        }
        slot.ready = Some(result);
        slot.is_reading = false;
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some((read, told)) = whole {
            self.tell(read, &told);
        }
    }

    fn read_blocks(&self, open: &File, left: &Range<u64>) -> Result<Bytes, StoreError> {
        let file = &*self.file;
        let first = left.start / BLOCK;
        let last = ((left.end - 1) / BLOCK).min(first + BLOCKS - 1);
        let content = first * BLOCK..((last + 1) * BLOCK).min(file.len);
        let len = format::content_on_disk(content.end - content.start) as usize;
        let mut bytes = vec![0; len];
        file.environment.medium.read(open, &mut bytes, file.start + first * BLOCK_ON_DISK)?;
        // Without their checksums the blocks stand next to each other.
        let (mut read, mut kept) = (0, 0);
        for block in first..=last {
            let size = (file.len - block * BLOCK).min(BLOCK) as usize;
            let (data, sum) = bytes[read..].split_at(size);
            if sum[..4] != format::block_sum(file.id, block, data) {
                return Err(StoreError::Damaged);
            }
            if kept != read {
                bytes.copy_within(read..read + size, kept);
            }
            kept += size;
            read += size + 4;
        }
        bytes.truncate(kept);
        let start = (left.start - content.start) as usize;
        let end = (left.end.min(content.end) - content.start) as usize;
        Ok(Bytes::from(bytes).slice(start..end))
    }

    fn tell(&self, read: Vec<Bytes>, told: &WholeRead) {
        let store = self.file.environment.store.get().and_then(std::sync::Weak::upgrade);
        if let Some(stored) = store.and_then(|store| store.find(&self.file)) {
            told(&stored, read);
        }
    }
}
