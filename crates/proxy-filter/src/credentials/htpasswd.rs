//! `Users`: a file of names and hashes of passwords.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, fs, io};

use super::secret::Secret;

/// The largest file, in bytes.
const MAX_SIZE: u64 = 64 << 20;

/// Who there is: `name:hash` on each line, as Apache's `htpasswd -B` writes it. Empty lines and
/// those that begin with `#` say nothing.
pub struct Users {
    secrets: HashMap<Arc<str>, Secret>,
    /// What a password is checked against whose user nobody is.
    stand_ins: Vec<Secret>,
}

/// Why a file names no users.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HtpasswdError {
    /// It could not be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// A line is no name and hash.
    #[error("line {line}: {problem}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong. Never shows the hash.
        problem: String,
    },
    /// There is nobody in it.
    #[error("there is no user in it")]
    Empty,
    /// It has more than 64 MiB.
    #[error("a file of more than 64 MiB")]
    TooLarge,
}

impl Users {
    /// Reads a file.
    ///
    /// # Errors
    /// It can not be read, a line is wrong, or there is nobody in it.
    pub fn open(path: &Path) -> Result<Self, HtpasswdError> {
        if fs::metadata(path)?.len() > MAX_SIZE {
            return Err(HtpasswdError::TooLarge);
        }
        Self::read(&fs::read_to_string(path)?)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// A line is wrong, or there is nobody in it.
    pub fn read(text: &str) -> Result<Self, HtpasswdError> {
        let mut secrets = HashMap::new();
        let mut stand_ins = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |problem: String| HtpasswdError::Line { line: index + 1, problem };
            let (name, hash) =
                line.split_once(':').ok_or_else(|| wrong("expected `name:hash`".to_owned()))?;
            if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
                return Err(wrong("expected a name of 1 to 256 bytes before the `:`".to_owned()));
            }
            let secret = Secret::parse(hash).map_err(&wrong)?;
            stand_ins.push(secret.clone());
            if secrets.insert(Arc::from(name), secret).is_some() {
                return Err(wrong("this name stands in the file already".to_owned()));
            }
        }
        if secrets.is_empty() {
            return Err(HtpasswdError::Empty);
        }
        Ok(Self { secrets, stand_ins })
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.secrets.contains_key(name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.secrets.len()
    }

    /// Whether there is none; there always is one.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The user, where the password is that user's. Takes as long for a name that nobody has:
    /// `chance`, the same each time for a name, says whose hash stands in.
    pub(super) fn verify(&self, name: &str, password: &[u8], chance: u64) -> Option<Arc<str>> {
        match self.secrets.get_key_value(name) {
            Some((name, secret)) => secret.verify(password).then(|| Arc::clone(name)),
            None => {
                let at = chance % self.stand_ins.len().max(1) as u64;
                let stand_in = self.stand_ins.get(usize::try_from(at).unwrap_or(0));
                // Only for the time that it takes.
                std::hint::black_box(stand_in.map(|secret| secret.verify(password)));
                None
            }
        }
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("len", &self.secrets.len()).finish_non_exhaustive()
    }
}
