//! The programs that take part: found, installed or built.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::command_line::Options;
use crate::contenders::{Contender, Programs, Varnish};
use crate::failure::Failure;
use crate::scenario::Scenario;

/// Finds every program that the measurement needs; what is missing is
/// installed from Debian's packages, which takes root.
pub(crate) async fn find(options: &Options) -> Result<Programs, Failure> {
    let contenders = options.contenders();
    let haproxy = contenders.contains(&Contender::Haproxy);
    let varnish = contenders.contains(&Contender::Varnish);
    let over_tls = options.scenario.is_over_tls();
    let http2 = options.scenario == Scenario::Http2;
    // A package, and a program of it.
    let missing: Vec<&str> = [("nginx", "nginx"), ("wrk", "wrk")]
        .into_iter()
        .chain(haproxy.then_some(("haproxy", "haproxy")))
        .chain(over_tls.then_some(("openssl", "openssl")))
        .chain(over_tls.then_some(("curl", "curl")))
        .chain(http2.then_some(("nghttp2-client", "h2load")))
        .chain(varnish.then_some(("varnish", "varnishd")))
        .filter(|(_, program)| on_path(program).is_none())
        .map(|(package, _)| package)
        .collect();
    if !missing.is_empty() {
        install(&missing).await?;
    }
    let proxyd =
        if contenders.contains(&Contender::Proxyd) { Some(proxyd(options).await?) } else { None };
    Ok(Programs {
        nginx: require("nginx")?,
        haproxy: if haproxy { Some(require("haproxy")?) } else { None },
        varnish: if varnish {
            Some(Varnish { varnishd: require("varnishd")?, varnishncsa: require("varnishncsa")? })
        } else {
            None
        },
        proxyd,
    })
}

fn require(name: &str) -> Result<PathBuf, Failure> {
    on_path(name).ok_or_else(|| Failure::invalid(format!("{name} is not on the path")))
}

/// Looks along the path, and where a system keeps what only root used to run.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

async fn install(packages: &[&str]) -> Result<(), Failure> {
    let names = packages.join(" ");
    let by_hand = format!("install by hand: apt-get install {names}");
    if on_path("apt-get").is_none() {
        return Err(Failure::invalid(format!(
            "missing: {names}; there is no apt-get here, install them by other means"
        )));
    }
    eprintln!("installing {names}");
    for arguments in [
        &["update", "-q"][..],
        &[&["install", "-y", "-q", "--no-install-recommends"], packages].concat(),
    ] {
        let status = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .await
            .map_err(|error| Failure::io("running apt-get", &error))?;
        if !status.success() {
            return Err(Failure::invalid(format!(
                "missing: {names}; apt-get {} failed (it takes root). As root, {by_hand}",
                arguments[0]
            )));
        }
    }
    Ok(())
}

async fn proxyd(options: &Options) -> Result<PathBuf, Failure> {
    if let Some(path) = &options.proxyd {
        return path
            .canonicalize()
            .map_err(|error| Failure::io(format!("--proxyd {}", path.display()), &error));
    }
    eprintln!("building proxyd");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if !profile_is_current(&workspace).await {
        eprintln!(
            "the profile of release builds was made for another compiler or Cargo.lock: \
             see bench/pgo/README.md"
        );
    }
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "-p", "proxy-bin", "--bin", "proxyd"])
        .args(["--message-format", "json-render-diagnostics"])
        // cargo looks there for its configuration, which names the profile.
        .current_dir(workspace)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| Failure::io("running cargo", &error))?;
    if !output.status.success() {
        return Err(Failure::invalid(
            "proxyd did not build; --proxyd PATH measures a binary that exists, \
             --only with the names of the others does without it",
        ));
    }
    built(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| Failure::invalid("cargo did not say where it put proxyd"))
}

/// Whether the profile of release builds was made for this compiler and this `Cargo.lock`, which
/// give functions their names.
async fn profile_is_current(workspace: &Path) -> bool {
    let made_for = |name: &str| std::fs::read_to_string(workspace.join("bench/pgo").join(name));
    let lockfile = workspace.join("Cargo.lock");
    let digest = output_of("sha256sum", &[lockfile.as_os_str()]).await;
    let compiler = output_of("rustc", &["-V".as_ref()]).await;
    made_for("lockfile").is_ok_and(|of| digest.split(' ').next() == Some(of.trim()))
        && made_for("compiler").is_ok_and(|of| compiler.trim() == of.trim())
}

/// What a program says; nothing where it fails.
async fn output_of(program: &str, arguments: &[&OsStr]) -> String {
    let output = Command::new(program).args(arguments).output().await;
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// Where cargo says that it put the program.
fn built(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "proxyd")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_where_the_program_is() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"proxy_core"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"proxyd"},"executable":"/t/proxyd"}"#,
            "\nnot json\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(built(messages), Some(PathBuf::from("/t/proxyd")));
        assert_eq!(built(""), None);
    }

    #[test]
    fn programs_are_found_along_the_path() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program").is_none());
    }
}
