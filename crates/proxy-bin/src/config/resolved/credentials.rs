//! Names and passwords.

use std::path::PathBuf;
use std::time::Duration;

use proxy_filter::credentials::UsersHandle;

use crate::files::Stamp;

/// Who may ask, by name and password.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The users.
    pub users: UsersHandle,
    /// Where they stand.
    pub path: PathBuf,
    /// The version of the file that was read.
    pub stamp: Stamp,
    /// What clients are shown.
    pub realm: String,
    /// How long a password that was right is not checked again.
    pub remember: Duration,
}
