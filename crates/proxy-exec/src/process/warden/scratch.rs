//! Directories of runs: made below one that is the warden's own, and removed when nobody is left of
//! the run; at the latest with the warden, and by its keeper where it was killed.

use std::collections::HashMap;
use std::fs::{DirBuilder, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::SendFlags;

use crate::process::message::{self, Report, Start};

/// What the names of the wardens' folders begin with.
const NAME: &str = "proxy-exec-";
/// How soon one that could not be removed is tried again: somebody who is being killed wrote to it.
const AGAIN: Duration = Duration::from_millis(20);
/// How long that is done.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a path that are told.
const SHOWN: usize = 1024;

/// Makes and removes the directories of runs.
pub(super) struct Scratches {
    socket: BorrowedFd<'static>,
    /// The warden's own folder below each that was asked for.
    own: HashMap<String, PathBuf>,
    removal: Option<(Sender<PathBuf>, JoinHandle<()>)>,
}

impl Scratches {
    /// None yet. `socket` is where it is told of what could not be removed.
    pub(super) fn new(socket: BorrowedFd<'static>) -> Self {
        Self { socket, own: HashMap::new(), removal: None }
    }

    /// Makes one for a run.
    pub(super) fn make(&mut self, start: &Start) -> io::Result<PathBuf> {
        let made = self.own(&start.scratch).and_then(|own| make_in(&own, start));
        match made {
            // Something that tidies up takes folders that are old and empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.own.remove(&start.scratch);
                make_in(&self.own(&start.scratch)?, start)
            }
            made => made,
        }
    }

    fn own(&mut self, below: &str) -> io::Result<PathBuf> {
        if let Some(known) = self.own.get(below) {
            return Ok(known.clone());
        }
        let pid = std::process::id();
        let mut random = [0; 8];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let random = u64::from_ne_bytes(random);
        let path = Path::new(below).join(format!("{NAME}{pid}-{random:x}"));
        // The keeper first: what it does not know it does not remove.
        let mut line = path.as_os_str().as_encoded_bytes().to_vec();
        line.push(0);
        io::stdout().write_all(&line)?;
        io::stdout().flush()?;
        DirBuilder::new().mode(0o700).create(&path)?;
        // Users that programs run as reach their own in it, and see no other.
        std::fs::set_permissions(&path, Permissions::from_mode(0o711))?;
        self.own.insert(below.to_owned(), path.clone());
        Ok(path)
    }

    /// Removes one: in a thread, since a large tree takes time and others wait for the warden.
    pub(super) fn remove(&mut self, path: PathBuf) {
        if self.removal.is_none() {
            let (sender, receiver) = channel();
            let socket = self.socket;
            let thread = std::thread::Builder::new().spawn(move || remove_each(&receiver, socket));
            self.removal = thread.ok().map(|thread| (sender, thread));
        }
        match &self.removal {
            Some((sender, _)) => drop(sender.send(path)),
            // Where there is no thread to have, it takes that time.
            None => drop(std::fs::remove_dir_all(path)),
        }
    }

    /// Removes what is left, and waits for it.
    pub(super) fn finish(self) {
        if let Some((sender, thread)) = self.removal {
            drop(sender);
            let _ = thread.join();
        }
        for path in self.own.into_values() {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

fn make_in(own: &Path, start: &Start) -> io::Result<PathBuf> {
    let path = own.join(start.run.to_string());
    DirBuilder::new().mode(0o700).create(&path)?;
    if start.uid.is_some() || start.gid.is_some() {
        let owned = std::os::unix::fs::chown(&path, start.uid, start.gid);
        if owned.is_err() {
            let _ = std::fs::remove_dir(&path);
        }
        owned?;
    }
    Ok(path)
}

fn remove_each(paths: &Receiver<PathBuf>, socket: BorrowedFd<'_>) {
    let mut left: Vec<(PathBuf, Instant)> = Vec::new();
    loop {
        let next = match left.is_empty() {
            true => paths.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => paths.recv_timeout(AGAIN),
        };
        match next {
            Ok(path) => left.push((path, Instant::now() + PATIENCE)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if left.is_empty() => return,
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(AGAIN),
        }
        left.retain(|(path, until)| match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                if *until > Instant::now() {
                    return true;
                }
                let path = path.to_string_lossy().chars().take(SHOWN).collect();
                let report = Report::NotRemoved { path, errno: error.raw_os_error().unwrap_or(0) };
                let _ = message::send(socket, &report, &[], SendFlags::empty());
                false
            }
            _ => false,
        });
    }
}

/// What a keeper does with the folders that a warden has told it of.
pub(super) fn remove_told(told: &[u8]) {
    use std::os::unix::ffi::OsStrExt as _;
    for path in told.split(|byte| *byte == 0) {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let name = path.file_name().and_then(|name| name.to_str());
        if path.is_absolute() && name.is_some_and(|name| name.starts_with(NAME)) {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}
