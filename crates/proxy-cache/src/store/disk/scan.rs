//! What a restart finds.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::content::{ContentFile, DiskBody, Place};
use super::directory::Name;
use super::environment::Environment;
use super::{Shared, format, head};
use crate::store::{KeyHash, Stored, StoredBody};

/// What is read of a file at first: its header and, of most, its head.
const FIRST_READ: usize = 4096;

/// How often a lock that another process holds is tried.
const TRY_INTERVAL: Duration = Duration::from_millis(200);

/// Waits for the directory to be ours, and takes in what is in it. Ends early when the store does.
pub(super) fn run(store: &Weak<Shared>) {
    loop {
        let Some(store) = store.upgrade() else { return };
        match store.environment.directory.try_lock() {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the disk store can not lock its directory"),
        }
        drop(store);
        std::thread::sleep(TRY_INTERVAL);
    }
    if let Some(store) = store.upgrade()
        && let Err(error) = store.begin_use()
    {
        tracing::error!(%error, "the disk store can not use its directory");
        store.scanned();
        return;
    }
    take_in(store);
}

/// Takes in what is there; the directory is ours.
pub(super) fn take_in(store: &Weak<Shared>) {
    let Some(folders) = store.upgrade().map(|store| store.environment.directory.folders()) else {
        return;
    };
    let (mut found, mut removed) = (0_u64, 0_u64);
    for folder in folders {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut heads = HashMap::new();
        let mut responses = Vec::new();
        for entry in entries.flatten() {
            match entry.file_name().to_str().and_then(Name::parse) {
                Some(Name::Response(key, id)) => responses.push((key, id)),
                Some(Name::Head(key, id)) => {
                    heads.insert((key, id), entry.path());
                }
                // Not ours.
                None => {}
            }
        }
        // The newest first: what they replace need not be taken in.
        responses.sort_unstable_by_key(|(_, id)| std::cmp::Reverse(*id));
        for (key, id) in responses {
            let Some(store) = store.upgrade() else { return };
            if store.first_id().is_none_or(|first| id >= first) {
                // Stored since the start.
                heads.remove(&(key, id));
                continue;
            }
            let head = heads.remove(&(key, id));
            let environment = &store.environment;
            let path = environment.directory.response_path(&key, id);
            match read(environment, &path, head.as_deref(), key, id) {
                Some(stored) => {
                    found += 1;
                    store.take_in(&stored);
                }
                None => {
                    removed += 1;
                    let _ = environment.medium.remove(&path);
                    head.map(|head| environment.medium.remove(&head));
                }
            }
        }
        // Heads of responses that are gone; those of a running store are newer than its scan.
        let Some(store) = store.upgrade() else { return };
        for ((_, id), path) in heads {
            if store.first_id().is_some_and(|first| id < first) {
                let _ = store.environment.medium.remove(&path);
            }
        }
    }
    if let Some(store) = store.upgrade() {
        store.scanned();
        tracing::info!(found, removed, "the disk store has read its directory");
    }
}

/// Reads a file's header and end; none unless they are what was written.
fn read(
    environment: &Arc<Environment>,
    path: &Path,
    head_path: Option<&Path>,
    key: KeyHash,
    id: u64,
) -> Option<Arc<Stored>> {
    let file = environment.medium.open(path).ok()?;
    let file_len = file.metadata().ok()?.len();
    let mut bytes = vec![0; FIRST_READ.min(usize::try_from(file_len).ok()?)];
    environment.medium.read(&file, &mut bytes, 0).ok()?;
    let header = format::read_header(&bytes)?;
    let start = (format::HEADER + header.head_len) as u64;
    if header.id != id || header.key != key || start + format::END_LEN as u64 > file_len {
        return None;
    }
    if bytes.len() < start as usize {
        let read = bytes.len();
        bytes.resize(start as usize, 0);
        file.read_exact_at(&mut bytes[read..], read as u64).ok()?;
    }
    if !format::head_is_whole(&header, &bytes) {
        return None;
    }

    let mut end = [0; format::END_LEN];
    file.read_exact_at(&mut end, file_len - format::END_LEN as u64).ok()?;
    let end = format::read_end(&end)?;
    let trailers_len = end.trailers_len as u64;
    let expected = content_end(start, end.content)?.checked_add(trailers_len + 24)?;
    if expected != file_len {
        return None;
    }
    let mut trailers = vec![0; end.trailers_len];
    let trailers_at = file_len - format::END_LEN as u64 - trailers_len;
    file.read_exact_at(&mut trailers, trailers_at).ok()?;
    if !format::end_is_whole(id, &end, &trailers) {
        return None;
    }

    let mut head = head::from_bytes(&bytes[format::HEADER..start as usize])?;
    head.trailers = head::trailers_from_bytes(&trailers)?;
    let content = ContentFile::new(
        Arc::clone(environment),
        id,
        key,
        end.content,
        header.head_len,
        Place::Stored,
    );
    let mut order = id;
    let mut on_disk = format::file_on_disk(header.head_len as u64, end.content, trailers_len);
    if let Some(path) = head_path {
        let replaced = fs::read(path).ok();
        let replaced = replaced.as_deref().and_then(format::read_head_file);
        let replaced = replaced.filter(|file| file.id == id);
        match replaced.and_then(|file| Some((head::from_bytes(file.head)?, file.revision))) {
            Some((newer, revision)) => {
                head = newer;
                order = revision;
                on_disk += 4096;
                content.has_head(revision);
            }
            // Torn: it was never promised. What it replaced is still right, only older; but a
            // head that was replaced may have been meant to end its use. It is removed.
            None => return None,
        }
    }
    if head.key.hash() != key {
        return None;
    }
    let body = DiskBody { file: content, order, bytes: on_disk };
    Some(Arc::new(Stored { head, body: StoredBody::Source(Arc::new(body)) }))
}

fn content_end(start: u64, content: u64) -> Option<u64> {
    content
        .div_ceil(format::BLOCK)
        .checked_mul(4)
        .and_then(|sums| content.checked_add(sums)?.checked_add(start))
}
