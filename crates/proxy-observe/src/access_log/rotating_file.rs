//! A log file that is put away when it is large or old.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proxy_core::Clock;

use super::retired::{Retired, sync_folder_of};
use super::sink::AccessLogSink;
use crate::date::Civil;

/// What could not be put away is tried again after this time.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// When a log file is put away, and what becomes of it then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The most bytes of one file. A single line may be longer. Default: none.
    pub size: Option<u64>,
    /// The time of one file, counted from 1970 in UTC: of 24 hours, it ends at midnight. Default:
    /// none. A file is put away when the first line after that time comes.
    pub interval: Option<Duration>,
    /// How many files that were put away are kept; older ones are deleted. Default: 7.
    pub keep: usize,
    /// Whether they are compressed with gzip. Default: yes.
    pub compress: bool,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { size: None, interval: None, keep: 7, compress: true }
    }
}

/// A log file with a [`Rotation`].
///
/// What is put away has the time in its name: `access.log` becomes `access.log-20261122T202105Z`,
/// and `access.log-20261122T202105Z.gz` when a thread of its own has compressed it. What an
/// earlier process left uncompressed is compressed too. The new file has the mode of the old one.
///
/// A file that can not be put away grows on, and is tried again a minute later; `flush_lines` says
/// so once for each attempt.
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    clock: Arc<dyn Clock>,
    file: File,
    size: u64,
    /// In which interval since 1970 the file began.
    interval: u64,
    /// The last write ended inside a line.
    torn: bool,
    /// It could not be put away: it grows on until then.
    put_off: Option<Instant>,
    /// Why, until somebody was told.
    failure: Option<io::Error>,
    retired: Retired,
}

impl RotatingFile {
    /// Goes on at the end of the file, which is made where there is none.
    ///
    /// # Errors
    /// Where it can not be opened, or no thread can be started.
    pub fn open(
        path: impl AsRef<Path>,
        rotation: Rotation,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let (file, size, written) = open(&path)?;
        let began = if size > 0 { written.unwrap_or(clock.wall()) } else { clock.wall() };
        let retired = Retired::start(&path, rotation.keep, rotation.compress)?;
        let interval = nth(rotation.interval, began);
        let (torn, put_off, failure) = (false, None, None);
        Ok(Self { path, rotation, clock, file, size, interval, torn, put_off, failure, retired })
    }

    fn is_over(&self) -> bool {
        self.size > 0
            && !self.is_put_off()
            && (self.rotation.size.is_some_and(|most| self.size >= most)
                || nth(self.rotation.interval, self.clock.wall()) != self.interval)
    }

    fn is_put_off(&self) -> bool {
        self.put_off.is_some_and(|until| self.clock.now() < until)
    }

    /// Where it can not be put away, it grows on, and says so.
    fn rotate(&mut self) {
        match self.put_away() {
            Ok(()) => self.put_off = None,
            Err(error) => {
                self.put_off = Some(self.clock.now() + RETRY_INTERVAL);
                let text = format!("{} cannot be put away: {error}", self.path.display());
                self.failure = Some(io::Error::new(error.kind(), text));
            }
        }
    }

    fn put_away(&mut self) -> io::Result<()> {
        let now = self.clock.wall();
        let old = self.file.metadata()?;
        let away = free_name(&self.path, now)?;
        let moved = match std::fs::rename(&self.path, &away) {
            Ok(()) => true,
            // Somebody else has moved it away.
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        let (file, size, _) = match open_like(&self.path, &old) {
            Ok(opened) => opened,
            Err(error) => {
                // What is there by now is not ours.
                if moved && std::fs::symlink_metadata(&self.path).is_err() {
                    let _ = std::fs::rename(&away, &self.path);
                }
                return Err(error);
            }
        };
        (self.file, self.size, self.interval) = (file, size, nth(self.rotation.interval, now));
        if moved {
            // A machine that fails now has both names, or the old one alone.
            sync_folder_of(&self.path);
            self.retired.take(away);
        }
        Ok(())
    }
}

impl AccessLogSink for RotatingFile {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<usize> {
        if !self.torn && self.is_over() {
            self.rotate();
        }
        let mut piece = lines;
        if let Some(most) = self.rotation.size.filter(|_| !self.is_put_off()) {
            // As many whole lines as the file still takes; at least one.
            let left = usize::try_from(most.saturating_sub(self.size)).unwrap_or(usize::MAX);
            let end = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n');
            if left < lines.len() {
                piece = match end(&lines[..left]) {
                    Some(at) => &lines[..=at],
                    // The next line goes into the next file.
                    None if self.size > 0 && !self.torn => {
                        self.rotate();
                        return self.write_lines(lines);
                    }
                    None => super::sink::first_line(lines),
                };
            }
        }
        let n = self.file.write(piece)?;
        self.size += n as u64;
        self.torn = n > 0 && piece[n - 1] != b'\n';
        Ok(n)
    }

    fn flush_lines(&mut self) -> io::Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

impl std::fmt::Debug for RotatingFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("RotatingFile");
        debug.field("path", &self.path).field("rotation", &self.rotation).finish_non_exhaustive()
    }
}

/// A file, how large it is, and when it was written to.
type Opened = (File, u64, Option<SystemTime>);

/// A new file has the mode of the old one.
fn open_like(path: &Path, old: &Metadata) -> io::Result<Opened> {
    let mode = old.permissions().mode() & 0o777;
    match OpenOptions::new().create_new(true).append(true).mode(mode).open(path) {
        Ok(file) => {
            // The umask may have taken some of it.
            let _ = file.set_permissions(Permissions::from_mode(mode));
            Ok((file, 0, None))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => open(path),
        Err(error) => Err(error),
    }
}

fn open(path: &Path) -> io::Result<Opened> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let data = file.metadata()?;
    Ok((file, data.len(), data.modified().ok()))
}

fn nth(interval: Option<Duration>, time: SystemTime) -> u64 {
    let Some(interval) = interval else { return 0 };
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / interval.as_secs().max(1)
}

/// A name that no other file has.
fn free_name(path: &Path, now: SystemTime) -> io::Result<PathBuf> {
    let mut date = Vec::new();
    Civil::of(now).basic(&mut date);
    let date = String::from_utf8_lossy(&date);
    let name = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("-{date}{suffix}"));
        PathBuf::from(name)
    };
    let is_free = |path: &PathBuf| {
        let mut packed = path.as_os_str().to_owned();
        packed.push(".gz");
        !path.exists() && !Path::new(&packed).exists()
    };
    let first = name("");
    if is_free(&first) {
        return Ok(first);
    }
    // So that they sort: more than a thousand in a second is a size that is too small.
    (1..1000)
        .map(|n| name(&format!(".{n:03}")))
        .find(is_free)
        .ok_or_else(|| io::Error::other("more than a thousand log files in a second"))
}
