//! Whole files through the whole pipeline, with what is reported as text.

mod access_log;
mod cache;
mod compress;
mod display;
mod errors;
mod files;
mod filter;
mod idle_keys;
mod inspect;
mod overload;
mod privacy;
mod rate_limits;
mod semantics;
mod times;
mod tunnel;
mod upstreams;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A folder that is removed when the test ends.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("proxyd-config-{}-{number}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&folder.0).unwrap();
        for (name, text) in files {
            let path = folder.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The text without the name of the folder.
    pub(crate) fn relative(&self, text: impl std::fmt::Display) -> String {
        text.to_string().replace(&format!("{}/", self.0.display()), "")
    }

    fn load(&self, name: &str) -> Result<Loaded, Diagnostics> {
        load(&self.path(name), &Overrides::default())
    }

    /// What is wrong, line by line.
    fn errors(&self, name: &str) -> Vec<String> {
        let errors = self.load(name).map(|_| ()).unwrap_err();
        errors.iter().map(|error| self.relative(error)).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is wrong with a file of this text.
fn errors(text: &str) -> Vec<String> {
    Folder::new(&[("a.toml", text)]).errors("a.toml")
}

/// A file of this text, which can be used.
fn loaded(text: &str) -> Loaded {
    Folder::new(&[("a.toml", text)]).load("a.toml").unwrap()
}

fn warnings(text: &str) -> Vec<String> {
    let folder = Folder::new(&[("a.toml", text)]);
    let loaded = folder.load("a.toml").unwrap();
    loaded.warnings.iter().map(|warning| folder.relative(warning)).collect()
}

/// Listener and upstream, for files that are about something else.
const GATEWAY: &str = r#"
listeners.web = { address = "127.0.0.1:8080", role = "gateway" }
upstreams.app = { endpoints = ["http://127.0.0.1:3000"] }
"#;
