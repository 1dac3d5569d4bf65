//! Where content goes that does not fit into memory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use proxy_core::Spawn;
use tokio::sync::oneshot;

/// What is read from a file at a time.
const CHUNK: u64 = 128 << 10;

/// Makes files for content. Its calls may block.
pub trait SpillFiles: Send + Sync + 'static {
    /// A new file, which is gone when it is dropped.
    ///
    /// # Errors
    /// Those of the system.
    fn create(&self) -> io::Result<Box<dyn SpillFile>>;
}

/// A file with content. Its calls may block.
pub trait SpillFile: Send + Sync + 'static {
    /// Writes all of `data` at a place.
    ///
    /// # Errors
    /// Those of the system, such as a disk that is full.
    fn write_at(&self, data: &[u8], at: u64) -> io::Result<()>;

    /// Fills all of `into` with what is at a place.
    ///
    /// # Errors
    /// Those of the system.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<()>;
}

impl SpillFile for File {
    fn write_at(&self, data: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(data, at)
    }
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        self.read_exact_at(into, at)
    }
}

/// Files in a directory, without a name there from the moment that they are made: nobody else opens
/// them, and none outlives the process.
#[derive(Debug)]
pub struct SpillDirectory {
    path: PathBuf,
    next: AtomicU64,
}

impl SpillDirectory {
    /// In this directory, which must be there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), next: AtomicU64::new(0) }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl SpillFiles for SpillDirectory {
    fn create(&self) -> io::Result<Box<dyn SpillFile>> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let path = self.path.join(format!(".proxyd-spill-{}-{number}", std::process::id()));
            let mut options = OpenOptions::new();
            // Not through a link that somebody has put there, and for nobody else's eyes.
            options.read(true).write(true).create_new(true).mode(0o600);
            match options.open(&path) {
                Ok(file) => {
                    std::fs::remove_file(&path)?;
                    return Ok(Box::new(file));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// How content is spilled: to which files, by whom, and how much of it at a time. A clone shares
/// the bound.
#[derive(Clone)]
pub struct Spilling {
    files: Arc<dyn SpillFiles>,
    spawn: Arc<dyn Spawn>,
    left: Arc<AtomicU64>,
}

impl Spilling {
    /// At most `most` bytes in all files together. What blocks, and what reads responses, is run by
    /// `spawn`.
    pub fn new(files: Arc<dyn SpillFiles>, spawn: Arc<dyn Spawn>, most: u64) -> Self {
        Self { files, spawn, left: Arc::new(AtomicU64::new(most)) }
    }

    /// Bytes that still may be written.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    pub(super) fn spawn(&self) -> &Arc<dyn Spawn> {
        &self.spawn
    }

    fn reserve(&self, bytes: u64) -> bool {
        let take = |left: u64| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::AcqRel, Ordering::Relaxed, take).is_ok()
    }

    fn release(&self, bytes: u64) {
        self.left.fetch_add(bytes, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Spilling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spilling").field("left", &self.left()).finish_non_exhaustive()
    }
}

/// Work that blocks, away from the tasks of others.
fn blocking<T: Send + 'static>(
    spawn: &Arc<dyn Spawn>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Pending<T> {
    let (done, result) = oneshot::channel();
    spawn.spawn_blocking(Box::new(move || drop(done.send(work()))));
    result
}

/// What comes of such work; closed where nobody does it any more.
pub(super) type Pending<T> = oneshot::Receiver<io::Result<T>>;

/// A file that grows.
pub(super) struct Spill {
    spilling: Spilling,
    file: Option<Arc<dyn SpillFile>>,
    len: u64,
}

impl Spill {
    pub(super) fn new(spilling: &Spilling) -> Self {
        Self { spilling: spilling.clone(), file: None, len: 0 }
    }

    /// Bytes in it.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Begins to read at a place.
    pub(super) fn read(&self, at: u64) -> Option<Pending<Bytes>> {
        let file = Arc::clone(self.file.as_ref()?);
        let size = usize::try_from(self.len.checked_sub(at)?.min(CHUNK)).unwrap_or(0);
        Some(blocking(&self.spilling.spawn, move || {
            let mut chunk = BytesMut::zeroed(size);
            file.read_at(&mut chunk, at)?;
            Ok(chunk.freeze())
        }))
    }

    /// Begins to write behind what is there; what was written counts when that has
    /// [ended](Self::written). `None` where files have all that they may have.
    pub(super) fn append(&mut self, data: Bytes) -> Option<Appending> {
        let size = data.len() as u64;
        if !self.spilling.reserve(size) {
            return None;
        }
        let reserved = Reserved { spilling: self.spilling.clone(), size };
        let (file, files) = (self.file.clone(), Arc::clone(&self.spilling.files));
        let at = self.len;
        let done = blocking(&self.spilling.spawn, move || {
            let file = match file {
                Some(file) => file,
                None => files.create()?.into(),
            };
            file.write_at(&data, at)?;
            Ok(file)
        });
        Some(Appending { done, reserved })
    }

    /// What was appended is there.
    pub(super) fn written(&mut self, file: Arc<dyn SpillFile>, mut reserved: Reserved) {
        self.len += reserved.size;
        self.file = Some(file);
        // From now on it is given back with the rest.
        reserved.size = 0;
    }

    /// All of it was read: it begins anew, in a file of its own. What is not counted any more must
    /// not be on the disk either.
    pub(super) fn clear(&mut self) {
        self.spilling.release(std::mem::take(&mut self.len));
        if let Some(file) = self.file.take() {
            // What a large file had is given back when it is closed: that takes its time.
            self.spilling.spawn.spawn_blocking(Box::new(move || drop(file)));
        }
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Content on its way into a file.
pub(super) struct Appending {
    pub(super) done: Pending<Arc<dyn SpillFile>>,
    pub(super) reserved: Reserved,
}

/// Bytes that are counted; given back when they were not written.
pub(super) struct Reserved {
    spilling: Spilling,
    size: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.spilling.release(self.size);
    }
}
