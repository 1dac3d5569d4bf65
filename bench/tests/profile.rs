//! What stands before the compiler adds the profile to release builds, and to nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const RELEASE: [&str; 5] =
    ["--crate-name", "x", "-C opt-level=3", "-C lto=thin", "-C codegen-units=1"];

fn pgo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pgo")
}

/// What cargo calls the compiler with for a release of this workspace.
fn release_arguments() -> Vec<&'static str> {
    let manifest = include_str!("../../Cargo.toml");
    let (_, release) = manifest.split_once("\n[profile.release]\n").expect("a release profile");
    let release = release.split("\n[").next().expect("its keys");
    // What the pattern of the wrapper asks for: one unit, and the level that releases have by default.
    assert!(release.contains("codegen-units = 1") && !release.contains("opt-level"), "{release}");
    let configuration = include_str!("../../.cargo/config.toml");
    assert!(configuration.contains("rustc-wrapper = \"bench/pgo/rustc\""), "{configuration}");
    RELEASE.to_vec()
}

/// A compiler that says its version, and else what it was called with, a word a line.
fn compiler(version: &str) -> PathBuf {
    let file =
        std::env::temp_dir().join(format!("compiler-{}-{}", std::process::id(), version.len()));
    let script =
        format!("#!/bin/sh\n[ \"$1\" = -V ] && echo '{version}' && exit\nprintf '%s\\n' \"$@\"\n");
    fs::write(&file, script).expect("a temporary directory");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its owner");
    file
}

/// What the compiler of this version is called with.
fn called(version: &str, arguments: &[&str], training: Option<&str>) -> String {
    let compiler = compiler(version);
    let mut command = Command::new(pgo().join("rustc"));
    command.arg(&compiler).args(arguments.iter().flat_map(|words| words.split(' ')));
    command.env_remove("PROXYD_PGO").envs(training.map(|at| ("PROXYD_PGO", at)));
    let output = command.output().expect("a shell");
    assert!(output.status.success(), "{output:?}");
    fs::remove_file(compiler).expect("still there");
    String::from_utf8(output.stdout).expect("words")
}

#[test]
fn release_builds_follow_the_profile() {
    let known = fs::read_to_string(pgo().join("compiler")).expect("the profile's compiler");
    let known = known.trim();
    let plain = RELEASE.join("\n").replace(' ', "\n") + "\n";

    let release = called(known, &release_arguments(), None);
    let profile = release.lines().find_map(|word| word.strip_prefix("profile-use="));
    let profile = profile.expect("release builds have a profile");
    assert!(Path::new(profile).is_absolute() && Path::new(profile).is_file(), "{profile}");
    assert!(release.starts_with(&plain), "{release}");

    assert_eq!(called("rustc 1.0.0 (of old)", &RELEASE, None), plain, "the names of others differ");
    let debug = ["--crate-name", "x", "-C debuginfo=0"];
    assert_eq!(called(known, &debug, None), "--crate-name\nx\n-C\ndebuginfo=0\n");

    let version = compiler("variables");
    fs::write(&version, "#!/usr/bin/env bash\nexec env\n").expect("the same file");
    let mut passed = Command::new(pgo().join("rustc"));
    let output = passed.arg(&version).env("CARGO_BIN_EXE_a-name", "here").output().expect("bash");
    let variables = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(variables.contains("CARGO_BIN_EXE_a-name=here"), "{variables}");
    fs::remove_file(version).expect("still there");

    let training = called(known, &RELEASE, Some("/counted"));
    assert_eq!(training, format!("{plain}-C\nprofile-generate=/counted\n"));
}
