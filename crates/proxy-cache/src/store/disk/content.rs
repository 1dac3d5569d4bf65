//! The file that the content of a response is in, from its first byte to its removal.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::environment::Environment;
use super::format;
use super::pool::{Job, Lane};
use super::reader::DiskReader;
use crate::store::{BodyReader, BodySource, KeyHash};

/// A file. Only threads of the pool wait for its state.
pub(super) struct ContentFile {
    pub(super) environment: Arc<Environment>,
    pub(super) id: u64,
    pub(super) key: KeyHash,
    /// Bytes of content.
    pub(super) len: u64,
    /// Where content begins.
    pub(super) start: u64,
    is_doomed: AtomicBool,
    state: Mutex<State>,
}

struct State {
    place: Place,
    /// The handle that all readers share.
    open: Weak<File>,
    /// Reads of content that is still being written.
    waiting: Vec<Job>,
    /// Of the head that is beside it.
    revision: u64,
    /// A head that came before the content was complete.
    early_head: Option<(u64, Vec<u8>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Not complete.
    New,
    /// Where a restart finds it.
    Stored,
    /// No longer stored; removed once no one can read it any more.
    Gone,
    /// It could not be written.
    Failed,
}

/// What asking for a file gives.
pub(super) enum Opened {
    File(Arc<File>),
    /// It is not complete: the job was taken, and is done when it is.
    Later,
}

/// The content of one stored response.
pub(super) struct DiskBody {
    pub(super) file: Arc<ContentFile>,
    /// Later ones are greater: the id, or the revision of the head.
    pub(super) order: u64,
    /// What it takes of the disk.
    pub(super) bytes: u64,
}

impl ContentFile {
    pub(super) fn new(
        environment: Arc<Environment>,
        id: u64,
        key: KeyHash,
        len: u64,
        head_len: usize,
        place: Place,
    ) -> Arc<Self> {
        let state =
            State { place, open: Weak::new(), waiting: Vec::new(), revision: 0, early_head: None };
        Arc::new(Self {
            environment,
            id,
            key,
            len,
            start: (format::HEADER + head_len) as u64,
            is_doomed: AtomicBool::new(false),
            state: Mutex::new(state),
        })
    }

    /// It is no longer stored. Who has it can read it to its end.
    pub(super) fn doom(self: &Arc<Self>) {
        if !self.is_doomed.swap(true, Ordering::AcqRel) {
            let file = Arc::clone(self);
            self.environment.pool.submit(Lane::Other, move || file.leave());
        }
    }

    fn is_doomed(&self) -> bool {
        self.is_doomed.load(Ordering::Acquire)
    }

    /// Takes it away from where a restart would find it.
    fn leave(self: Arc<Self>) {
        let environment = &self.environment;
        let mut state = self.lock();
        if state.place != Place::Stored {
            return;
        }
        let directory = &environment.directory;
        let stored = directory.response_path(&self.key, self.id);
        if state.revision > 0 {
            self.try_remove(&directory.head_path(&self.key, self.id));
        }
        // Whoever has it has an `Arc`; no one can get another one.
        let gone = directory.gone_path(self.id);
        let is_read = Arc::strong_count(&self) > 1;
        if is_read && environment.medium.rename(&stored, &gone).is_ok() {
            state.place = Place::Gone;
        } else {
            self.try_remove(&stored);
            state.place = Place::Failed;
        }
    }

    /// Its bytes are written: it is put where a restart finds it, unless it is gone already.
    pub(super) fn complete(&self) -> io::Result<()> {
        let directory = &self.environment.directory;
        let mut state = self.lock();
        let (to, place) = if self.is_doomed() {
            (directory.gone_path(self.id), Place::Gone)
        } else {
            (directory.response_path(&self.key, self.id), Place::Stored)
        };
        self.environment.medium.rename(&directory.new_path(self.id), &to)?;
        state.place = place;
        if let Some((revision, head)) = state.early_head.take() {
            self.put_head(&mut state, revision, &head);
        }
        self.wake(&mut state);
        Ok(())
    }

    /// It could not be written.
    pub(super) fn fail(&self) {
        let mut state = self.lock();
        state.place = Place::Failed;
        self.wake(&mut state);
    }

    fn wake(&self, state: &mut State) {
        for job in state.waiting.drain(..) {
            self.environment.pool.submit_boxed(Lane::Read, job);
        }
    }

    /// Puts another head beside it, unless there is a later one.
    pub(super) fn replace_head(&self, revision: u64, head: Vec<u8>) {
        let mut state = self.lock();
        match state.place {
            Place::New if state.early_head.as_ref().is_none_or(|(other, _)| *other < revision) => {
                state.early_head = Some((revision, head));
            }
            Place::Stored if !self.is_doomed() => self.put_head(&mut state, revision, &head),
            _ => {}
        }
    }

    fn put_head(&self, state: &mut State, revision: u64, head: &[u8]) {
        if revision <= state.revision || state.place != Place::Stored {
            return;
        }
        let (medium, directory) = (&self.environment.medium, &self.environment.directory);
        let new = directory.new_path(revision);
        let write = || {
            let file = medium.create(&new)?;
            medium.write(&file, &format::head_file(self.id, revision, head))?;
            medium.rename(&new, &directory.head_path(&self.key, self.id))
        };
        match write() {
            Ok(()) => state.revision = revision,
            Err(error) => {
                self.environment.health.write_failed(Instant::now(), &error);
                self.try_remove(&new);
            }
        }
    }

    /// A restart found this head beside it.
    pub(super) fn has_head(&self, revision: u64) {
        self.lock().revision = revision;
    }

    /// Opens it. `job` is done later where it is not complete yet.
    pub(super) fn open(&self, job: impl FnOnce() -> Job) -> io::Result<Opened> {
        let mut state = self.lock();
        if let Some(file) = state.open.upgrade() {
            return Ok(Opened::File(file));
        }
        let directory = &self.environment.directory;
        let path = match state.place {
            Place::New => {
                state.waiting.push(job());
                return Ok(Opened::Later);
            }
            Place::Stored => directory.response_path(&self.key, self.id),
            Place::Gone => directory.gone_path(self.id),
            Place::Failed => return Err(io::Error::other("it could not be written")),
        };
        let file = Arc::new(self.environment.medium.open(&path)?);
        state.open = Arc::downgrade(&file);
        Ok(Opened::File(file))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_remove(&self, path: &std::path::Path) {
        if let Err(error) = self.environment.medium.remove(path) {
            tracing::warn!(%error, path = %path.display(), "the disk store can not remove a file");
        }
    }
}

impl Drop for ContentFile {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.place == Place::Gone {
            let environment = Arc::clone(&self.environment);
            let path = environment.directory.gone_path(self.id);
            let environment = Arc::downgrade(&environment);
            self.environment.pool.submit(Lane::Other, move || {
                // Without an environment the directory may be another one's: it clears this.
                if let Some(environment) = environment.upgrade() {
                    let _ = environment.medium.remove(&path);
                }
            });
        }
    }
}

impl BodySource for DiskBody {
    fn len(&self) -> u64 {
        self.file.len
    }

    fn open(&self, range: Range<u64>) -> Box<dyn BodyReader> {
        Box::new(DiskReader::new(&self.file, range))
    }
}
