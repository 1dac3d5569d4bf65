//! A directory for configurations and logs that goes when it is dropped.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A temporary directory of our own.
#[derive(Debug)]
pub(crate) struct Workdir(PathBuf);

impl Workdir {
    /// Makes it. An nginx that root started serves as another user, who has to
    /// be able to read here.
    pub(crate) fn create(name: &str) -> Result<Self, Failure> {
        Self::create_in(&std::env::temp_dir(), name)
    }

    /// Makes one whose files stay in memory.
    pub(crate) fn create_in_memory(name: &str) -> Result<Self, Failure> {
        Self::create_in(Path::new("/dev/shm"), name)
    }

    fn create_in(parent: &Path, name: &str) -> Result<Self, Failure> {
        let path = parent.join(format!("{name}-{}", std::process::id()));
        make(&path)?;
        Ok(Self(path))
    }

    /// The path of a file inside.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes a directory inside.
    pub(crate) fn inner(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.0.join(name);
        make(&path)?;
        Ok(path)
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("could not remove {}: {error}", self.0.display());
        }
    }
}

fn make(path: &Path) -> Result<(), Failure> {
    fs::create_dir(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
        .map_err(|error| Failure::io(format!("making {}", path.display()), &error))
}

/// Writes a file, and says which when it cannot.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text)
        .map_err(|error| Failure::io(format!("writing {}", path.display()), &error))
}

/// Reads a file, and says which when it cannot.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::io(format!("reading {}", path.display()), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_behind() {
        let workdir = Workdir::create("proxyd-bench-workdir").unwrap();
        let inner = workdir.inner("nginx").unwrap();
        write(&inner.join("file"), "text").unwrap();
        drop(workdir);
        assert!(!inner.parent().unwrap().exists());
    }
}
