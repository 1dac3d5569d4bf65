//! Real programs from Debian packages, installed when they are missing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock};

static FOUND: OnceLock<Mutex<HashMap<String, PathBuf>>> = OnceLock::new();

/// The package that holds a program.
fn package_of(program: &str) -> &str {
    match program {
        "nghttp" | "h2load" => "nghttp2-client",
        "promtool" => "prometheus",
        other => other,
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

fn apt_get(arguments: &[&str]) -> Output {
    let base = ["-q", "-y", "-o", "DPkg::Lock::Timeout=600"];
    let direct = is_root();
    let mut command = Command::new(if direct { "apt-get" } else { "sudo" });
    if !direct {
        command.args(["-n", "apt-get"]);
    }
    command
        .args(base)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .expect("apt-get can be started")
}

/// Whether this process may install packages itself.
fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.starts_with(b"0\n"))
}

/// The path of a program; installs its Debian package first if it is missing, and panics with
/// the package manager's words if that fails.
#[must_use]
pub fn require(program: &str) -> PathBuf {
    let mut found =
        FOUND.get_or_init(Mutex::default).lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(path) = found.get(program) {
        return path.clone();
    }
    let path = find(program).unwrap_or_else(|| {
        let package = package_of(program);
        let install = ["install", "--no-install-recommends", package];
        if !apt_get(&install).status.success() {
            apt_get(&["update"]);
            let output = apt_get(&install);
            assert!(
                output.status.success(),
                "the package {package} cannot be installed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        find(program).unwrap_or_else(|| panic!("the package {package} has no {program}"))
    });
    found.insert(program.to_owned(), path.clone());
    path
}

/// The path of Debian's Python, with a module of it; installs the module's package first if it is
/// missing. Another Python in the `PATH` would not find it.
#[must_use]
pub fn python_with(modules: &[&str]) -> PathBuf {
    let python = PathBuf::from("/usr/bin/python3");
    for module in modules {
        let has = || {
            let import = format!("import {module}");
            let run = Command::new(&python).args(["-c", &import]).output();
            run.is_ok_and(|out| out.status.success())
        };
        if has() {
            continue;
        }
        let install = ["install", "--no-install-recommends", &format!("python3-{module}")];
        if !apt_get(&install).status.success() {
            apt_get(&["update"]);
            let output = apt_get(&install);
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "python3-{module} cannot be installed: {told}");
        }
        assert!(has(), "the package python3-{module} has no {module}");
    }
    python
}

/// Runs a program to its end and gives what it wrote.
#[must_use]
pub fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(require(program));
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
    {
        command.env_remove(name);
    }
    command.args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Runs curl with `-sS` and a time limit, without any configuration or proxy of the machine.
#[must_use]
pub fn curl(arguments: &[&str]) -> Output {
    let mut all = vec!["-q", "-sS", "--max-time", "120", "--noproxy", ""];
    all.extend(arguments);
    run("curl", &all)
}

/// A self-signed certificate for `localhost` and 127.0.0.1, as paths of certificate and key.
#[must_use]
pub fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let output = Command::new(require("openssl"))
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("openssl");
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    (cert, key)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_finds_what_every_machine_has() {
        assert!(super::require("ls").is_file());
    }
}
