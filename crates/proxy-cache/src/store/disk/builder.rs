//! How a disk store is opened.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::directory::Directory;
use super::environment::Environment;
use super::health::Health;
use super::keeper::OnDisk;
use super::pool::Pool;
use super::{DiskStore, Limits, Shared, scan};
use crate::store::fills::Fills;
use crate::store::table::{Table, TableOptions};

/// The largest object by default, however large the store is.
const LARGEST: u64 = 4 << 30;

/// What fits beside the content of the largest object.
const HEAD_ROOM: u64 = 128 << 10;

/// The least and the most memory for heads by default.
const HEADS: (u64, u64) = (16 << 20, 256 << 20);

/// For how long a directory that is in use is tried.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is not given has the default that its method tells.
#[derive(Clone, Debug)]
pub struct DiskStoreBuilder {
    directory: PathBuf,
    capacity: u64,
    heads: Option<u64>,
    max_object: Option<u64>,
    max_variants: usize,
    max_filling: Option<u64>,
    max_writers: usize,
    max_queued: usize,
    threads: usize,
    pause: Duration,
    waits: bool,
}

impl DiskStoreBuilder {
    pub(super) fn new(directory: &Path, capacity: u64) -> Self {
        Self {
            directory: directory.to_owned(),
            capacity,
            heads: None,
            max_object: None,
            max_variants: 32,
            max_filling: None,
            max_writers: 256,
            max_queued: 8 << 20,
            threads: 4,
            pause: Duration::from_secs(1),
            waits: false,
        }
    }

    /// Bytes of memory that heads may take, about 1.5 KiB for each response. By default a 64th of
    /// the capacity, at least 16 MiB and at most 256 MiB. What is stored is bounded by both.
    #[must_use]
    pub fn heads(mut self, bytes: u64) -> Self {
        self.heads = Some(bytes);
        self
    }

    /// The largest content that is stored, in bytes. By default an eighth of the capacity, and at
    /// most 4 GiB; it is cut to what fits into the store.
    #[must_use]
    pub fn max_object(mut self, bytes: u64) -> Self {
        self.max_object = Some(bytes);
        self
    }

    /// The most responses under one key; the oldest goes. 32 by default.
    #[must_use]
    pub fn max_variants(mut self, variants: usize) -> Self {
        self.max_variants = variants;
        self
    }

    /// Bytes of the disk that responses may take which are not complete yet, beside the capacity.
    /// A quarter of it by default.
    #[must_use]
    pub fn max_filling(mut self, bytes: u64) -> Self {
        self.max_filling = Some(bytes);
        self
    }

    /// The most responses that are written at a time. 256 by default; further ones are not begun.
    #[must_use]
    pub fn max_writers(mut self, writers: usize) -> Self {
        self.max_writers = writers;
        self
    }

    /// Bytes of one response that may wait for the disk; of all, eight times as many. 8 MiB by
    /// default. Beyond, storing it ends with [`StoreError::Behind`](crate::store::StoreError).
    #[must_use]
    pub fn max_queued(mut self, bytes: usize) -> Self {
        self.max_queued = bytes;
        self
    }

    /// Threads that touch the disk. 4 by default.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// For how long nothing is stored after the disk failed; twice as long after each further
    /// failure, up to 64 times. One second by default.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Where another process has the directory: waits for it in the background, stores nothing
    /// until then, and is no error. For a process that takes over from another. Off by default.
    #[must_use]
    pub fn wait_for_lock(mut self, waits: bool) -> Self {
        self.waits = waits;
        self
    }

    /// Opens the store, and begins to read its directory in the background. Where the directory is
    /// in use it tries for a second, for the last read of a store that was just dropped.
    ///
    /// # Errors
    /// Where the directory can not be made, is another process's
    /// ([`io::ErrorKind::ResourceBusy`]) or has something else in it, and where no thread can be
    /// started.
    pub fn open(self) -> io::Result<DiskStore> {
        let directory = Directory::prepare(&self.directory)?;
        if !self.waits && !lock(&directory)? {
            let text = format!("{} is in use by another process", self.directory.display());
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
        }
        let environment =
            Environment::new(directory, Pool::new(self.threads)?, Health::new(self.pause));
        let heads = (self.capacity / 64).clamp(HEADS.0, HEADS.1);
        let heads = self.heads.unwrap_or(heads).max(1);
        let disk_of_head = self.capacity.div_ceil(heads).max(1);
        let largest = self.max_object.unwrap_or(LARGEST.min(self.capacity / 8));
        let room = HEAD_ROOM.max(disk_of_head.saturating_mul(4096));
        let table = Table::new(
            Arc::new(OnDisk { disk_of_head }),
            &TableOptions {
                capacity: self.capacity,
                largest: super::format::content_on_disk(largest).saturating_add(room),
                key_weight: 0,
                expected_keys: self.capacity / (32 << 10),
                max_variants: self.max_variants,
            },
        );
        let fits = table.limit().saturating_sub(room.min(table.limit() / 2));
        let limits = Limits {
            max_object: largest.min(fits - fits / 8192),
            max_writers: self.max_writers,
            max_queued: self.max_queued,
            max_queued_in_all: self.max_queued.saturating_mul(8),
        };
        let shared = Arc::new(Shared {
            environment: Arc::new(environment),
            table,
            fills: Arc::new(Fills::new(self.max_filling.unwrap_or(self.capacity / 4))),
            limits,
            first_id: OnceLock::new(),
            removed: Mutex::new(Some(HashSet::new())),
            over: Condvar::new(),
        });
        let weak = Arc::downgrade(&shared);
        let _ = shared.environment.store.set(Weak::clone(&weak));
        let waits = self.waits;
        if !waits {
            shared.begin_use()?;
        }
        let scan = move || if waits { scan::run(&weak) } else { scan::take_in(&weak) };
        std::thread::Builder::new().name("cache-disk-scan".into()).spawn(scan)?;
        Ok(DiskStore { shared })
    }
}

fn lock(directory: &Directory) -> io::Result<bool> {
    let begun = Instant::now();
    while !directory.try_lock()? {
        if begun.elapsed() > PATIENCE {
            return Ok(false);
        }
        std::thread::sleep(PATIENCE / 50);
    }
    Ok(true)
}
