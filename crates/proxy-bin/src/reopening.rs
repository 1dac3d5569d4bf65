//! Logs that are opened again while requests are served.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Whether a log can be opened at once. A named pipe that nobody reads makes whoever opens it for
/// writing wait until somebody does, which is right as the process starts, and no time to wait is
/// there once it serves.
///
/// # Errors
/// Where it is such a pipe.
pub(crate) fn is_at_once(path: &Path) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo()) {
        let nonblocking = i32::from_ne_bytes(OFlags::NONBLOCK.bits().to_ne_bytes());
        OpenOptions::new().write(true).custom_flags(nonblocking).open(path).map_err(|error| {
            io::Error::new(error.kind(), format!("nobody reads this pipe: {error}"))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for() {
        let path = std::env::temp_dir().join(format!("reopening-{}", std::process::id()));
        assert!(is_at_once(&path).is_ok(), "it will be made");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo");
        let error = is_at_once(&path).expect_err("nobody reads it");
        assert!(error.to_string().starts_with("nobody reads"), "{error}");
        // Read and write at once, as only a pipe allows: somebody reads it now.
        let both = OpenOptions::new().read(true).write(true).open(&path).expect("no wait");
        assert!(is_at_once(&path).is_ok());
        drop(both);
        fs::remove_file(path).expect("still there");
    }
}
