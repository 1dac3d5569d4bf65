//! Interception of TLS.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[forward.intercept]`: whose TLS is opened, so that rules, inspection and
/// log see what is said. Nothing is, until a name is listed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Intercept {
    /// Certificate of the authority that clients trust, in PEM; `proxyd ca
    /// init` makes one.
    pub ca_cert: PathBuf,
    /// Its key, in PEM. Nobody but its owner may be able to read it.
    pub ca_key: PathBuf,
    /// Hosts that are intercepted: `x.test` is itself and all below it,
    /// `*.x.test` only what is below, `=x.test` exact; `"@file"` takes the
    /// names of a file.
    #[serde(default)]
    pub names: Vec<String>,
    /// Hosts that are not, where no longer name of `names` says otherwise:
    /// what is private, and what pins its certificates.
    #[serde(default)]
    pub except: Vec<String>,
    /// Store what is found inside, in memory only, as `[forward] cache` says:
    /// not together with `[cache] disk`. Default false.
    #[serde(default)]
    pub cache: bool,
    /// Certificates of authorities by which origin servers are verified, in
    /// PEM. Default: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_ca: Option<PathBuf>,
}
