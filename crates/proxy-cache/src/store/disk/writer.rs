//! A fill of the disk store: the side that takes chunks and never waits.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;

use super::Shared;
use super::content::{ContentFile, DiskBody, Place};
use super::environment::Environment;
use super::output::Output;
use super::pool::Lane;
use super::{format, head};
use crate::store::fills::Share;
use crate::store::{KeyHash, StoreError, StoreWriter, Stored, StoredBody, StoredHead, weight};

/// One response on its way.
pub(super) struct DiskWriter {
    store: Arc<Shared>,
    fill: Arc<Fill>,
    head: StoredHead,
    head_len: usize,
    origin: Option<Arc<Stored>>,
    expected: Option<u64>,
    len: u64,
    share: Share,
}

/// What the writer and the threads share.
struct Fill {
    environment: Arc<Environment>,
    id: u64,
    key: KeyHash,
    state: Mutex<State>,
    output: Mutex<Output>,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// A job for it is in the queue or being done.
    is_scheduled: bool,
    end: Option<End>,
    /// An end was given.
    is_ended: bool,
    failed: Option<Failure>,
}

enum End {
    Commit(Arc<ContentFile>, Vec<u8>),
    Abort,
}

/// An error that can be told more than once.
#[derive(Clone, Copy)]
struct Failure {
    kind: io::ErrorKind,
    code: Option<i32>,
}

impl DiskWriter {
    pub(super) fn begin(
        store: &Arc<Shared>,
        head: StoredHead,
        expected: Option<u64>,
    ) -> Option<Box<dyn StoreWriter>> {
        let environment = &store.environment;
        if expected.is_some_and(|len| len > store.limits.max_object)
            || !environment.health.may_write(Instant::now())
        {
            return None;
        }
        let id = environment.next_id()?;
        let origin = store.table.origin(&head)?;
        let share = store.fills.share(expected.unwrap_or(0))?;
        let writers = &environment.writers;
        if writers.fetch_add(1, Ordering::Relaxed) >= store.limits.max_writers {
            writers.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let head = weight::compact(head);
        let bytes = head::to_bytes(&head);
        let key = head.key.hash();
        let fill = Arc::new(Fill {
            environment: Arc::clone(environment),
            id,
            key,
            state: Mutex::default(),
            output: Mutex::new(Output::new(id, format::header(id, &key, &bytes))),
        });
        let store = Arc::clone(store);
        let head_len = bytes.len();
        Some(Box::new(Self { store, fill, head, head_len, origin, expected, len: 0, share }))
    }
}

impl StoreWriter for DiskWriter {
    fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        let len = self.len + chunk.len() as u64;
        let limits = &self.store.limits;
        if len > limits.max_object {
            return Err(StoreError::TooLarge);
        }
        if self.expected.is_some_and(|expected| len > expected) {
            return Err(StoreError::Incomplete);
        }
        if !self.share.grow_to(len) {
            return Err(StoreError::Behind);
        }
        let mut state = self.fill.lock();
        state.check()?;
        if state.bytes + chunk.len() > limits.max_queued
            || !self.fill.environment.queue(chunk.len(), limits.max_queued_in_all)
        {
            return Err(StoreError::Behind);
        }
        self.len = len;
        state.bytes += chunk.len();
        state.chunks.push_back(chunk);
        self.fill.schedule(state);
        Ok(())
    }

    fn commit(self: Box<Self>, trailers: Option<HeaderMap>) -> Result<Arc<Stored>, StoreError> {
        if self.expected.is_some_and(|expected| expected != self.len) {
            return Err(StoreError::Incomplete);
        }
        self.fill.lock().check()?;
        let mut head = self.head.clone();
        if trailers.is_some() {
            head.trailers = trailers;
            head = weight::compact(head);
        }
        let trailers = head::trailers_to_bytes(head.trailers.as_ref());
        let file = ContentFile::new(
            Arc::clone(&self.fill.environment),
            self.fill.id,
            self.fill.key,
            self.len,
            self.head_len,
            Place::New,
        );
        let bytes = format::file_on_disk(self.head_len as u64, self.len, trailers.len() as u64);
        let body = DiskBody { file: Arc::clone(&file), order: self.fill.id, bytes };
        let stored = Arc::new(Stored { head, body: StoredBody::Source(Arc::new(body)) });
        self.store.table.commit(&stored, self.origin.as_ref())?;
        let mut state = self.fill.lock();
        state.end(End::Commit(file, trailers));
        self.fill.schedule(state);
        Ok(stored)
    }
}

impl Drop for DiskWriter {
    fn drop(&mut self) {
        self.fill.environment.writers.fetch_sub(1, Ordering::Relaxed);
        let mut state = self.fill.lock();
        if !state.is_ended {
            state.end(End::Abort);
            self.fill.schedule(state);
        }
    }
}

impl State {
    fn end(&mut self, end: End) {
        self.end = Some(end);
        self.is_ended = true;
    }

    fn check(&self) -> Result<(), StoreError> {
        let Some(Failure { kind, code }) = self.failed else { return Ok(()) };
        Err(code.map_or_else(|| kind.into(), io::Error::from_raw_os_error).into())
    }
}

impl Fill {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn schedule(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if !state.is_scheduled {
            state.is_scheduled = true;
            drop(state);
            let fill = Arc::clone(self);
            self.environment.pool.submit(Lane::Other, move || fill.run());
        }
    }

    /// On a thread of the pool, one at a time: writes what is there, or ends.
    fn run(self: Arc<Self>) {
        let (chunks, bytes) = {
            let mut state = self.lock();
            (std::mem::take(&mut state.chunks), std::mem::take(&mut state.bytes))
        };
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let has_failed = self.lock().failed.is_some();
        if !has_failed
            && let Err(error) =
                chunks.iter().try_for_each(|chunk| output.push(&self.environment, chunk))
        {
            self.fail(&mut output, &error);
        }
        drop(chunks);
        self.environment.queued.fetch_sub(bytes, Ordering::Relaxed);

        let mut state = self.lock();
        let end = if state.chunks.is_empty() { state.end.take() } else { None };
        let is_over = end.is_some();
        state.is_scheduled = is_over || !state.chunks.is_empty();
        let goes_on = state.is_scheduled && !is_over;
        drop(state);
        match end {
            Some(End::Commit(file, trailers)) => self.finish(&mut output, &file, &trailers),
            Some(End::Abort) => output.abort(&self.environment),
            None => {}
        }
        drop(output);
        if goes_on {
            let fill = Arc::clone(&self);
            self.environment.pool.submit(Lane::Other, move || fill.run());
        }
    }

    fn finish(&self, output: &mut Output, file: &Arc<ContentFile>, trailers: &[u8]) {
        let environment = &self.environment;
        let has_failed = self.lock().failed.is_some();
        if !has_failed {
            let written = output.finish(environment, trailers).and_then(|()| file.complete());
            match written {
                Ok(()) => return environment.health.write_succeeded(Instant::now()),
                Err(error) => self.fail(output, &error),
            }
        }
        environment.forget(file);
        file.fail();
    }

    fn fail(&self, output: &mut Output, error: &io::Error) {
        self.environment.health.write_failed(Instant::now(), error);
        self.lock().failed = Some(Failure { kind: error.kind(), code: error.raw_os_error() });
        output.abort(&self.environment);
    }
}
