//! A log file that is put away when it is large or old.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proxy_core::Clock;

use super::retired::Retired;
use super::sink::AccessLogSink;
use crate::date::Civil;

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
/// earlier process left uncompressed is compressed too.
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
        Ok(Self { path, rotation, clock, file, size, interval, torn: false, retired })
    }

    fn is_over(&self) -> bool {
        self.size > 0
            && (self.rotation.size.is_some_and(|most| self.size >= most)
                || nth(self.rotation.interval, self.clock.wall()) != self.interval)
    }

    /// Where it can not be put away, it grows on, and says so.
    fn rotate(&mut self) -> io::Result<()> {
        let now = self.clock.wall();
        let away = free_name(&self.path, now)?;
        std::fs::rename(&self.path, &away)?;
        let (file, size, _) = open(&self.path)?;
        (self.file, self.size, self.interval) = (file, size, nth(self.rotation.interval, now));
        self.retired.take(away);
        Ok(())
    }
}

impl AccessLogSink for RotatingFile {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<usize> {
        if !self.torn && self.is_over() {
            self.rotate()?;
        }
        let mut piece = lines;
        if let Some(most) = self.rotation.size {
            // As many whole lines as the file still takes; at least one.
            let left = usize::try_from(most.saturating_sub(self.size)).unwrap_or(usize::MAX);
            let end = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n');
            if left < lines.len() {
                piece = match end(&lines[..left]) {
                    Some(at) => &lines[..=at],
                    // The next line goes into the next file.
                    None if self.size > 0 && !self.torn => {
                        self.rotate()?;
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
}

impl std::fmt::Debug for RotatingFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("RotatingFile");
        debug.field("path", &self.path).field("rotation", &self.rotation).finish_non_exhaustive()
    }
}

fn open(path: &Path) -> io::Result<(File, u64, Option<SystemTime>)> {
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
