//! A headless Chromium with a profile of its own.

use std::path::Path;
use std::process::Command;

use crate::programs;
use crate::scratch::Scratch;

/// Asks for nothing by itself, and for no proxy that the machine has.
const QUIET: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
];

/// How long a page may take, in seconds, and how often it is tried.
const PATIENCE: &str = "90";
const TRIES: usize = 3;

/// What `timeout` says of a program that took too long.
const TIMED_OUT: i32 = 124;

/// A browser; what it knows and keeps goes when it is dropped.
#[derive(Debug)]
pub struct Chromium {
    profile: Scratch,
}

impl Default for Chromium {
    fn default() -> Self {
        Self::new()
    }
}

impl Chromium {
    /// One that knows nobody but the authorities of the system.
    #[must_use]
    pub fn new() -> Self {
        Self { profile: Scratch::new("chromium") }
    }

    /// Puts an authority into its certificate store, as a user or an administrator would.
    #[must_use]
    pub fn trusting(self, authority: &Path) -> Self {
        let store = self.profile.join(".pki/nssdb");
        std::fs::create_dir_all(&store).expect("a folder for the store");
        let store = format!("sql:{}", store.display());
        let certutil = |arguments: &[&str]| {
            let output = Command::new(programs::require("certutil"))
                .args(["-d", &store])
                .args(arguments)
                .env("HOME", self.profile.path())
                .output()
                .expect("certutil");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        certutil(&["-N", "--empty-password"]);
        let authority = authority.to_str().expect("a path in UTF-8");
        certutil(&["-A", "-n", "authority", "-t", "C,,", "-i", authority]);
        self
    }

    /// The page as the browser shows it, once its scripts have run.
    #[must_use]
    pub fn page(&self, url: &str, options: &[&str]) -> String {
        self.load(url, options).unwrap_or_else(|complaint| panic!("{url}: {complaint}"))
    }

    /// The same, or what the browser complains of that shows none.
    ///
    /// # Errors
    /// Where there is no page: the browser did not reach or not trust the server.
    pub fn load(&self, url: &str, options: &[&str]) -> Result<String, String> {
        // On a machine that has much else to do a browser may hang before it has begun: it gets
        // another try.
        (0..TRIES)
            .find_map(|_| self.run(url, options))
            .unwrap_or_else(|| panic!("{url}: the browser hangs"))
    }

    fn run(&self, url: &str, options: &[&str]) -> Option<Result<String, String>> {
        let output = Command::new("timeout")
            .args(["--kill-after=5", PATIENCE])
            .arg(programs::require("chromium"))
            .args(QUIET)
            .args(options)
            .arg(format!("--user-data-dir={}", self.profile.path().display()))
            .args(["--dump-dom", url])
            .env("HOME", self.profile.path())
            .output()
            .expect("chromium can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.code() {
            Some(TIMED_OUT) => None,
            _ if output.stdout.is_empty() => Some(Err(text(&output.stderr))),
            _ => Some(Ok(text(&output.stdout))),
        }
    }
}
