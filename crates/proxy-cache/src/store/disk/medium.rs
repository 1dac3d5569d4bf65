//! Every touch of the file system: in one place, so that a test can make it fail.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

#[cfg(test)]
use std::sync::Mutex;

/// The file system.
#[derive(Default)]
pub(super) struct Medium {
    #[cfg(test)]
    plan: Mutex<Vec<(Touch, u32, i32)>>,
}

/// A kind of touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    Create,
    Write,
    Rename,
    Open,
    Read,
    Remove,
}

impl Medium {
    /// Makes every touch of a kind fail, after this many that succeed.
    #[cfg(test)]
    pub(super) fn fail(&self, touch: Touch, after: u32, error: rustix::io::Errno) {
        self.plan.lock().unwrap().push((touch, after, error.raw_os_error()));
    }

    /// Lets all succeed again.
    #[cfg(test)]
    pub(super) fn heal(&self) {
        self.plan.lock().unwrap().clear();
    }

    #[cfg(test)]
    fn check(&self, touch: Touch) -> io::Result<()> {
        for (kind, after, error) in &mut *self.plan.lock().unwrap() {
            if *kind == touch {
                match after.checked_sub(1) {
                    Some(left) => *after = left,
                    None => return Err(io::Error::from_raw_os_error(*error)),
                }
            }
        }
        Ok(())
    }

    #[cfg(not(test))]
    #[allow(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "there is something to it in tests"
    )]
    fn check(&self, _: Touch) -> io::Result<()> {
        Ok(())
    }

    /// A new file, readable by its owner only.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        self.check(Touch::Create)?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    }

    pub(super) fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        self.check(Touch::Write)?;
        file.write_all(bytes)
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Touch::Rename)?;
        std::fs::rename(from, to)
    }

    pub(super) fn open(&self, path: &Path) -> io::Result<File> {
        self.check(Touch::Open)?;
        File::open(path)
    }

    /// Fills the buffer from this place on.
    pub(super) fn read(&self, file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.check(Touch::Read)?;
        file.read_exact_at(bytes, at)
    }

    /// Removes a file; that there is none is no error.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.check(Touch::Remove)?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
