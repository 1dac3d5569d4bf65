//! The file with the chain's key, which moves on with the chain.
//!
//! An operator makes it with 64 hex digits and keeps a copy elsewhere: with that copy the trail is
//! verified. From the first record on the file holds the key of the *next* record, and the earlier
//! ones are gone: each new state is written beside it, synced and renamed over it, and what the old
//! file held is overwritten. (A medium that writes elsewhere than it is told, as flash and
//! copy-on-write file systems do, may keep the old bytes for a while.)

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::chain::{Chain, ChainKey, Head, RecordHash};

const TITLE: &str = "proxyd audit key v1";

/// A key for the record after `head`. Of a new key the head is that of an empty chain.
#[derive(Clone, Debug)]
pub(super) struct KeyState {
    pub(super) head: Head,
    pub(super) key: ChainKey,
}

impl KeyState {
    /// Reads a new key, or one that has moved on.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let text = Zeroizing::new(fs::read_to_string(path)?);
        Self::parse(&text).ok_or_else(|| {
            let message = "expected 64 hex digits (openssl rand -hex 32), or a key of this log";
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let key = |text: &str| {
            let bytes = Zeroizing::new(text.trim().to_ascii_lowercase());
            RecordHash::parse(bytes.as_bytes()).map(|key| ChainKey::new(key.0))
        };
        let Some(rest) = text.strip_prefix(TITLE) else {
            return Some(Self { head: Head::default(), key: key(text)? });
        };
        let mut lines = rest.lines().skip(1);
        let head = lines.next()?.strip_prefix("after ")?.parse().ok()?;
        Some(Self { head, key: key(lines.next()?.strip_prefix("key ")?)? })
    }
}

/// The file while the log writes.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The file, and what it holds. It must be possible to replace it.
    pub(super) fn open(path: &Path) -> io::Result<(Self, KeyState)> {
        let state = KeyState::read(path)?;
        let own = Self { path: path.to_owned() };
        own.store(&Chain { head: state.head, key: Some(state.key.clone()) })?;
        Ok((own, state))
    }

    /// Writes where the chain stands, and erases what was there.
    pub(super) fn store(&self, chain: &Chain) -> io::Result<()> {
        let Some(key) = &chain.key else { return Ok(()) };
        let mut old = OpenOptions::new().write(true).open(&self.path)?;
        let held = old.metadata()?;
        let hex = Zeroizing::new(RecordHash(*key.bytes()).to_string());
        let text = Zeroizing::new(format!("{TITLE}\nafter {}\nkey {}\n", chain.head, &*hex));
        let mut beside = self.path.clone().into_os_string();
        beside.push(".next");
        let beside = PathBuf::from(beside);
        let mut new = OpenOptions::new();
        let mut new = new.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        new.set_permissions(Permissions::from_mode(held.permissions().mode() & 0o777))?;
        new.write_all(text.as_bytes())?;
        new.sync_data()?;
        fs::rename(&beside, &self.path)?;
        erase(&mut old, held.len())
    }
}

fn erase(file: &mut File, len: u64) -> io::Result<()> {
    let zeros = vec![0; usize::try_from(len.min(4096)).unwrap_or(4096)];
    file.write_all(&zeros)?;
    file.sync_data()
}
