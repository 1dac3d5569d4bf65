//! A file that does not answer: a pipe in its place, whose readers wait.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::waiting;

/// `O_NONBLOCK` on Linux: opening a pipe without readers fails, and does not wait.
const NONBLOCK: i32 = 0o4000;

/// A pipe.
#[derive(Debug)]
pub struct SilentFile(PathBuf);

impl SilentFile {
    /// Makes one.
    ///
    /// # Panics
    /// Where it can not be made.
    #[must_use]
    pub fn make(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success());
        Self(path)
    }

    /// Puts it into the place of another file beside it.
    ///
    /// # Panics
    /// Where that can not be done.
    #[must_use]
    pub fn in_place_of(self, name: &str) -> Self {
        let path = self.0.with_file_name(name);
        std::fs::rename(&self.0, &path).expect("renamed");
        Self(path)
    }

    /// Waits until somebody reads it; the reader waits as long as the answer is held, and goes on
    /// with what is written there.
    #[must_use]
    pub fn is_read(&self) -> File {
        waiting::until("a reader of the pipe", || {
            OpenOptions::new().write(true).custom_flags(NONBLOCK).open(&self.0).ok()
        })
    }
}
