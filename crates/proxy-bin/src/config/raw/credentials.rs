//! Names and passwords.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Period;

/// `credentials` of a listener or of `[forward]`: who may ask, by name and password (Basic).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// A file of `name:hash` lines with bcrypt (`htpasswd -B`), argon2 or SHA-crypt hashes,
    /// relative to the configuration file.
    pub file: String,
    /// What clients are shown. Default: `restricted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// How long a password that was right is not checked again. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remember: Option<Period>,
}
