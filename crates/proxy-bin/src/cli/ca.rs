//! `proxyd ca init`: makes an authority for the interception of TLS.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use proxy_server::intercept::{AuthorityError, NewAuthority};

use crate::config::plain;

const EXAMPLES: &str = "\
Examples:
  proxyd ca init
  proxyd ca init --only corp.example --only lab.example --days 365
  proxyd forward --intercept-ca-cert ca.pem --intercept-ca-key ca.key --intercept www.example.com";

/// `proxyd ca`.
#[derive(Clone, Debug, Subcommand)]
pub enum CaCommand {
    /// Make a certificate and a key by which `intercept` signs; nothing is overwritten
    Init(CaInit),
}

/// `proxyd ca init`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CaInit {
    /// File of the certificate, for the clients
    #[arg(long, value_name = "FILE", default_value = "ca.pem")]
    pub cert: PathBuf,
    /// File of the key, which only its owner may read
    #[arg(long, value_name = "FILE", default_value = "ca.key")]
    pub key: PathBuf,
    /// Its name, as clients show it
    #[arg(long, value_name = "NAME", default_value = "proxyd interception", value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// How long it holds
    #[arg(long, value_name = "DAYS", default_value_t = 3650, value_parser = clap::value_parser!(u64).range(1..=36500))]
    pub days: u64,
    /// A domain that it may sign for, with all below it; repeatable [default: all]
    #[arg(long, value_name = "DOMAIN")]
    pub only: Vec<String>,
}

/// Why no authority was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// A name can not stand in a certificate, or signing failed.
    #[error("{0}")]
    Authority(#[from] AuthorityError),
    /// Both in one file.
    #[error("--cert and --key name the same file, {}; nothing was made", .0.display())]
    SameFile(PathBuf),
    /// There is a file already.
    #[error("{} is there already; nothing was made", .0.display())]
    There(PathBuf),
    /// A file could not be written.
    #[error("cannot write {}: {}", .path.display(), plain(.source))]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl CaError {
    /// Whether what was asked is wrong.
    pub const fn was_told_wrong(&self) -> bool {
        matches!(
            self,
            Self::SameFile(_) | Self::There(_) | Self::Authority(AuthorityError::Name(_))
        )
    }
}

/// Makes it, and tells what to do with it.
///
/// # Errors
/// A file is there already or can not be written: then neither of both is left.
pub fn make_authority(order: &CaInit) -> Result<String, CaError> {
    let CaInit { cert, key, name, days, only } = order;
    if cert == key {
        return Err(CaError::SameFile(cert.clone()));
    }
    if let Some(there) = [cert, key].into_iter().find(|path| path.exists()) {
        return Err(CaError::There(there.clone()));
    }
    let lifetime = Duration::from_secs(days * 24 * 3600);
    let new = NewAuthority { name: name.clone(), lifetime, only: only.clone() };
    let made = new.make(SystemTime::now())?;
    write(key, &made.key, 0o600)?;
    if let Err(error) = write(cert, &made.certificate, 0o644) {
        let _ = fs::remove_file(key);
        return Err(error);
    }
    let (cert, key) = (cert.display(), key.display());
    let bound = match only.as_slice() {
        [] => "It may sign for every name: who has the key reads all that its clients say. --only binds\nit to domains.\n".to_owned(),
        only => format!("It may sign for {} alone, and what is below.\n", only.join(", ")),
    };
    Ok(format!(
        "{cert}: give it to the clients, who must trust it\n\
         {key}: keep it; only its owner can read it, and whoever has it can be any of these names\n\
         {bound}"
    ))
}

/// A file that was not there.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), CaError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => CaError::There(path.to_owned()),
        _ => CaError::Write { path: path.to_owned(), source },
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proxy_server::intercept::Authority;

    use super::*;

    fn order(folder: &Path, only: &[&str]) -> CaInit {
        CaInit {
            cert: folder.join("ca.pem"),
            key: folder.join("ca.key"),
            name: "test".to_owned(),
            days: 30,
            only: only.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_made_is_an_authority_and_nobody_else_reads_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let order = order(folder.path(), &["corp.test"]);
        let told = make_authority(&order).unwrap();
        assert!(told.contains("corp.test alone"), "{told}");
        assert!(!told.contains("PRIVATE KEY"));
        assert_eq!(fs::metadata(&order.key).unwrap().permissions().mode() & 0o777, 0o600);
        let read = |path| fs::read_to_string(path).unwrap();
        let (cert, key) = (read(&order.cert), read(&order.key));
        let authority = Authority::load(&cert, &key, SystemTime::now()).unwrap();
        assert!(authority.permits("www.corp.test") && !authority.permits("bank.test"));
        // A second one does not touch the first.
        let error = make_authority(&order).unwrap_err();
        assert!(error.was_told_wrong() && error.to_string().contains("is there already"));
        assert_eq!((read(&order.cert), read(&order.key)), (cert, key));
    }

    #[test]
    fn half_of_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut order = order(folder.path(), &[]);
        order.cert = folder.path().join("no/such/folder/ca.pem");
        let error = make_authority(&order).unwrap_err();
        assert!(!error.was_told_wrong() && error.to_string().contains("cannot write"), "{error}");
        assert!(!order.key.exists());
        let error = make_authority(&self::order(folder.path(), &["a b"])).unwrap_err();
        assert!(error.was_told_wrong(), "{error}");
        let mut order = self::order(folder.path(), &[]);
        order.cert.clone_from(&order.key);
        let error = make_authority(&order).unwrap_err();
        assert!(error.was_told_wrong() && error.to_string().contains("the same file"), "{error}");
        assert!(!order.key.exists());
    }
}
