//! The certificate that every contender shows: self-made, of the kind that most servers have today.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::workdir::{self, Workdir};

/// Where certificate and key are.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The certificate.
    pub(crate) cert: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
    /// Both in one file, as HAProxy wants them.
    pub(crate) both: PathBuf,
}

impl Certificate {
    /// Makes one for `localhost`, with a key on the curve P-256.
    pub(crate) fn make(workdir: &Workdir) -> Result<Self, Failure> {
        let directory = workdir.inner("certificate")?;
        let [cert, key, both] =
            ["cert.pem", "key.pem", "both.pem"].map(|name| directory.join(name));
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-noenc", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .arg("-out")
            .arg(&cert)
            .arg("-keyout")
            .arg(&key)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::io("running openssl", &error))?;
        if !output.status.success() {
            return Err(Failure::invalid(format!(
                "openssl made no certificate: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
        let text = workdir::read(&cert)? + &workdir::read(&key)?;
        workdir::write(&both, &text)?;
        Ok(Self { cert, key, both })
    }
}
