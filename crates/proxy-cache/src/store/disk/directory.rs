//! The directory of a store: what is where, and whose it is.
//!
//! ```text
//! proxyd-cache          says that it is ours, and how often it was opened; locked while it is
//! responses/ab/KEY-ID.response
//! responses/ab/KEY-ID.head        a head that replaces the one in the file beside it
//! new/ID                          not complete yet
//! gone/ID                         removed, but someone may still read it
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::store::KeyHash;

const MARK: &str = "proxyd-cache";
const RESPONSES: &str = "responses";
const NEW: &str = "new";
const GONE: &str = "gone";

/// Ids of one opening of the store: those of a later one are greater.
const IDS: u32 = 40;

/// See the module.
pub(super) struct Directory {
    root: PathBuf,
    mark: File,
}

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Response(KeyHash, u64),
    Head(KeyHash, u64),
}

impl Directory {
    /// Creates it where there is none. One that has something else in it is refused: a store
    /// removes what it does not know.
    pub(super) fn prepare(root: &Path) -> io::Result<Self> {
        private_dir(root)?;
        let is_ours = root.join(MARK).exists();
        if !is_ours && !is_empty(root)? {
            let text = format!("{} is not empty, and not a cache", root.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mark = options.open(root.join(MARK))?;
        Ok(Self { root: root.to_owned(), mark })
    }

    /// Takes it for this process; false where another one has it.
    pub(super) fn try_lock(&self) -> io::Result<bool> {
        match flock(&self.mark, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes it ready for use; it must be locked. Gives the first id that is free.
    pub(super) fn begin(&self) -> io::Result<u64> {
        let mut text = String::new();
        let mut mark = &self.mark;
        mark.read_to_string(&mut text)?;
        let opened: u64 = match text.trim().parse() {
            Ok(opened) => opened,
            // New; or no one knows which of its files is newer than which.
            Err(_) => {
                remove_dir(&self.root.join(RESPONSES))?;
                0
            }
        };
        let opened = opened % (1 << (u64::BITS - IDS)) + 1;
        mark.rewind()?;
        mark.write_all(format!("{opened:020}\n").as_bytes())?;

        remove_dir(&self.root.join(NEW))?;
        remove_dir(&self.root.join(GONE))?;
        private_dir(&self.root.join(NEW))?;
        private_dir(&self.root.join(GONE))?;
        private_dir(&self.root.join(RESPONSES))?;
        self.folders().try_for_each(|folder| private_dir(&folder))?;
        Ok(opened << IDS)
    }

    pub(super) fn new_path(&self, id: u64) -> PathBuf {
        self.root.join(NEW).join(format!("{id:016x}"))
    }

    pub(super) fn gone_path(&self, id: u64) -> PathBuf {
        self.root.join(GONE).join(format!("{id:016x}"))
    }

    pub(super) fn response_path(&self, key: &KeyHash, id: u64) -> PathBuf {
        self.folder(key).join(format!("{key:?}-{id:016x}.response"))
    }

    pub(super) fn head_path(&self, key: &KeyHash, id: u64) -> PathBuf {
        self.folder(key).join(format!("{key:?}-{id:016x}.head"))
    }

    /// Where responses are, in all.
    pub(super) fn folders(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let responses = self.root.join(RESPONSES);
        (0..=0xff).map(move |first| responses.join(format!("{first:02x}")))
    }

    fn folder(&self, key: &KeyHash) -> PathBuf {
        self.root.join(RESPONSES).join(format!("{:02x}", key.0[0]))
    }
}

impl Drop for Directory {
    /// Closing would do, but for a process that is being started at this moment: until it is, it
    /// has the file open too.
    fn drop(&mut self) {
        let _ = flock(&self.mark, FlockOperation::Unlock);
    }
}

impl Name {
    /// None for a name that is not one of ours.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (stem, kind) = name.split_once('.')?;
        let (key, id) = stem.split_once('-')?;
        let is_lower_hex =
            |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if key.len() != 32 || id.len() != 16 || !is_lower_hex(key) || !is_lower_hex(id) {
            return None;
        }
        let key = KeyHash(u128::from_str_radix(key, 16).ok()?.to_be_bytes());
        let id = u64::from_str_radix(id, 16).ok()?;
        match kind {
            "response" => Some(Self::Response(key, id)),
            "head" => Some(Self::Head(key, id)),
            _ => None,
        }
    }
}

fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file system of its own has a directory in it from the start.
fn is_empty(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        if entry?.file_name() != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::prepare(root.path()).unwrap();
        let key = KeyHash([0xa5; 16]);
        let name = |path: PathBuf| Name::parse(path.file_name().unwrap().to_str().unwrap());
        let (response, head) = (directory.response_path(&key, 7), directory.head_path(&key, 7));
        assert_eq!(response.parent(), head.parent());
        assert_eq!(name(response), Some(Name::Response(key, 7)));
        assert_eq!(name(head), Some(Name::Head(key, 7)));
        for other in ["", "a.response", "0-0.response", &format!("{key:?}-{:016x}.txt", 7)] {
            assert_eq!(Name::parse(other), None);
        }
    }

    #[test]
    fn it_is_private_and_locked_and_ids_grow() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let one = Directory::prepare(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(one.try_lock().unwrap());
        let first = one.begin().unwrap();
        let two = Directory::prepare(&path).unwrap();
        assert!(!two.try_lock().unwrap());
        drop(one);
        assert!(two.try_lock().unwrap());
        assert!(two.begin().unwrap() > first + u64::from(u32::MAX));
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("lost+found")).unwrap();
        assert!(Directory::prepare(root.path()).is_ok());
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("thesis.tex"), "...").unwrap();
        assert!(Directory::prepare(root.path()).is_err());
        assert!(root.path().join("thesis.tex").exists());
    }

    #[test]
    fn without_a_count_of_openings_nothing_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let one = Directory::prepare(root.path()).unwrap();
        one.begin().unwrap();
        let response = one.response_path(&KeyHash([1; 16]), 1);
        fs::write(&response, "x").unwrap();
        let two = Directory::prepare(root.path()).unwrap();
        two.begin().unwrap();
        assert!(response.exists());
        fs::write(root.path().join(MARK), "torn").unwrap();
        let three = Directory::prepare(root.path()).unwrap();
        three.begin().unwrap();
        assert!(!response.exists());
    }
}
