//! Names and passwords.

use std::sync::Arc;
use std::time::Duration;

use proxy_filter::credentials::Users;

/// Who may ask, by name and password.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The users.
    pub users: Arc<Users>,
    /// What clients are shown.
    pub realm: String,
    /// How long a password that was right is not checked again.
    pub remember: Duration,
}
