//! Log files that were put away: compressed and, in the end, deleted, on a thread of their own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;

/// See the module. Its drop ends the thread when it is done with what it has.
#[derive(Debug)]
pub(super) struct Retired {
    sender: Sender<PathBuf>,
}

/// What is compressed has this name until it is whole.
const PARTIAL: &str = ".gz.partial";

impl Retired {
    pub(super) fn start(path: &Path, keep: usize, compress: bool) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let keeper = Keeper { path: path.to_owned(), keep, compress };
        thread::Builder::new().name("log-files".to_owned()).spawn(move || keeper.run(&receiver))?;
        Ok(Self { sender })
    }

    pub(super) fn take(&self, path: PathBuf) {
        // Without the thread, files stay as they are.
        let _ = self.sender.send(path);
    }
}

struct Keeper {
    path: PathBuf,
    keep: usize,
    compress: bool,
}

impl Keeper {
    /// What goes wrong here leaves a file as it is; it is tried again with the next one.
    fn run(&self, receiver: &Receiver<PathBuf>) {
        self.tidy();
        while receiver.recv().is_ok() {
            self.tidy();
        }
    }

    fn tidy(&self) {
        let mut own = self.own();
        // Those of one second by their number, whether they are compressed or not.
        own.sort_by_key(|path| match path.extension() {
            Some(end) if end == "gz" => path.with_extension(""),
            _ => path.clone(),
        });
        let surplus = own.len().saturating_sub(self.keep);
        for path in own.drain(..surplus) {
            let _ = fs::remove_file(path);
        }
        if self.compress {
            let plain = own.iter().filter(|path| path.extension().is_none_or(|end| end != "gz"));
            plain.for_each(|path| drop(pack(path)));
        }
    }

    /// The files that were put away, without those half compressed.
    fn own(&self) -> Vec<PathBuf> {
        let (Some(name), Some(folder)) = (self.path.file_name(), self.path.parent()) else {
            return Vec::new();
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let name = name.to_string_lossy();
        let is_own = |file: &str| file.strip_prefix(&*name).is_some_and(is_suffix);
        entries
            .flatten()
            .filter(|entry| entry.file_name().to_str().is_some_and(is_own))
            .map(|entry| folder.join(entry.file_name()))
            .collect()
    }
}

/// `-20261122T202105Z`, with a number and `.gz` or without.
fn is_suffix(text: &str) -> bool {
    let text = text.strip_suffix(".gz").unwrap_or(text);
    let Some((date, number)) = text.split_at_checked(17) else { return false };
    let is_number = |text: &str| text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    (number.is_empty() || number.strip_prefix('.').is_some_and(is_number))
        && date.bytes().enumerate().all(|(at, byte)| match at {
            0 => byte == b'-',
            9 => byte == b'T',
            16 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

fn pack(path: &Path) -> io::Result<()> {
    let named = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let partial = named(PARTIAL);
    let mut from = BufReader::with_capacity(64 << 10, File::open(path)?);
    // What an earlier attempt left.
    let _ = fs::remove_file(&partial);
    let to = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&partial)?;
    let mut to = GzEncoder::new(BufWriter::new(to), Compression::new(4));
    io::copy(&mut from, &mut to)?;
    let to = to.finish()?.into_inner()?;
    to.set_permissions(from.get_ref().metadata()?.permissions())?;
    // The other one is removed next.
    to.sync_all()?;
    fs::rename(&partial, named(".gz"))?;
    sync_folder_of(path);
    fs::remove_file(path)
}

/// Hands the names in the folder of a file to the medium, where its file system can.
pub(super) fn sync_folder_of(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_our_own_making_are_touched() {
        for (suffix, own) in [
            ("-20261122T202105Z", true),
            ("-20261122T202105Z.gz", true),
            ("-20261122T202105Z.001", true),
            ("-20261122T202105Z.001.gz", true),
            ("", false),
            (".1", false),
            ("-20261122", false),
            ("-20261122T202105Z.gz.partial", false),
            ("-20261122T202105Z.old", false),
            ("-2026112éT202105Z", false),
        ] {
            assert_eq!(is_suffix(suffix), own, "{suffix}");
        }
    }
}
