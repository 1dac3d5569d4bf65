//! The bearer token that changes need: the configured one, or one made at start.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use crate::config::resolved::Address;

/// A token. It is never shown.
#[derive(Clone)]
pub struct AdminToken(String);

impl AdminToken {
    /// One that is known: configured, or made by another process for the same listener.
    pub fn known(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// A new one.
    ///
    /// # Errors
    /// There is no chance to be had.
    pub fn make() -> io::Result<Self> {
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(|e| io::Error::other(e.to_string()))?;
        Ok(Self(random.iter().map(|b| format!("{b:02x}")).collect()))
    }

    /// Writes it into the file of an admin listener, which only its owner may read, and says where
    /// that is.
    ///
    /// # Errors
    /// It can not be written.
    pub fn write(&self, address: &Address) -> io::Result<PathBuf> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(runtime_directory())?;
        let path = made_token_path(address);
        // A file that is there may belong to another, or have another mode: it is made anew.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(self.0.as_bytes())?;
        Ok(path)
    }

    /// The token itself, for the process that takes over.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares in a time that does not depend on how much is right.
    pub fn is(&self, given: &str) -> bool {
        let (own, given) = (self.0.as_bytes(), given.as_bytes());
        let differing = own.iter().zip(given).fold(0, |all, (a, b)| all | (a ^ b));
        own.len() == given.len() && differing == 0
    }
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

/// The file of the token that is made for an admin listener on this address.
pub fn made_token_path(address: &Address) -> PathBuf {
    let name = match address {
        Address::Tcp(address) => format!("admin-{}.token", address.port()),
        Address::Unix(_) => "admin.token".to_owned(),
    };
    runtime_directory().join(name)
}

/// Where the files of a running process are: systemd's, the user's, or the system's.
fn runtime_directory() -> PathBuf {
    let of = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    of("RUNTIME_DIRECTORY")
        .or_else(|| of("XDG_RUNTIME_DIR").map(|directory| directory.join("proxyd")))
        .unwrap_or_else(|| PathBuf::from("/run/proxyd"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_compared_whole() {
        let token = AdminToken("secret".to_owned());
        assert!(token.is("secret"));
        for wrong in ["", "secre", "secrets", "Secret"] {
            assert!(!token.is(wrong), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "AdminToken(..)");
    }
}
