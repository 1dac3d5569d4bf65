//! Certificates that are replaced, in the two ways in which that is done.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proxyd_tests::pki::{Pair, Pki};
use proxyd_tests::scratch::Scratch;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

fn shown(cert: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(cert).expect("a certificate").to_vec()
}

/// A secret as Kubernetes mounts it: `..data` is a link to a folder with a time in its name, the
/// files are links through it, and all of them change at once when it is renamed over.
pub(crate) struct Mounted {
    folder: PathBuf,
    name: &'static str,
    version: u64,
}

impl Mounted {
    pub(crate) fn new(scratch: &Scratch, pki: &Pki, name: &'static str) -> Self {
        let folder = scratch.join("secret");
        fs::create_dir(&folder).expect("a folder");
        let mut own = Self { folder, name, version: 0 };
        own.rotate(pki);
        for file in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(file), own.folder.join(file)).expect("a link");
        }
        own
    }

    pub(crate) fn pair(&self) -> Pair {
        Pair { cert: self.folder.join("tls.crt"), key: self.folder.join("tls.key") }
    }

    /// Puts another certificate into its place, and gives it.
    pub(crate) fn rotate(&mut self, pki: &Pki) -> Vec<u8> {
        self.version += 1;
        let pair = pki.numbered("rotating", &[self.name], self.version);
        let at = |version: u64| self.folder.join(format!("..2026_01_01_{version}"));
        let new = at(self.version);
        fs::create_dir(&new).expect("a folder");
        fs::copy(&pair.cert, new.join("tls.crt")).expect("copied");
        fs::copy(&pair.key, new.join("tls.key")).expect("copied");
        let link = self.folder.join("..data_tmp");
        symlink(new.file_name().expect("a name"), &link).expect("a link");
        fs::rename(link, self.folder.join("..data")).expect("renamed");
        // The first has none before it.
        let _ = fs::remove_dir_all(at(self.version - 1));
        shown(&pair.cert)
    }
}

/// Files that are written over, one after the other.
pub(crate) struct Plain {
    pair: Pair,
    name: &'static str,
    version: u64,
}

impl Plain {
    pub(crate) fn new(scratch: &Scratch, pki: &Pki, name: &'static str) -> Self {
        let pair = Pair { cert: scratch.join("plain.crt"), key: scratch.join("plain.key") };
        let mut own = Self { pair, name, version: 0 };
        own.rotate(pki);
        own
    }

    pub(crate) fn pair(&self) -> Pair {
        self.pair.clone()
    }

    /// Puts another certificate into its place, and gives it.
    pub(crate) fn rotate(&mut self, pki: &Pki) -> Vec<u8> {
        self.version += 1;
        let new = pki.numbered("written", &[self.name], self.version);
        fs::copy(&new.cert, &self.pair.cert).expect("copied");
        fs::copy(&new.key, &self.pair.key).expect("copied");
        shown(&new.cert)
    }
}
