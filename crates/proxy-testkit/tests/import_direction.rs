//! Who may import whom in this workspace.
//!
//! proxy-core imports none of ours; every other library imports proxy-core alone, so that layer
//! crates stay siblings; proxy-bin imports all but the test kit, and no crate imports proxy-bin:
//! only the examples do, which show how to embed it.
//! In tests a library may also use proxy-testkit.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

const CORE: &str = "proxy-core";
const TESTKIT: &str = "proxy-testkit";
const BINARY: &str = "proxy-bin";
const EXAMPLES: &str = "proxyd-examples";

/// One import that should not be, in words.
type Violation = String;

/// What `cargo metadata` says of the workspace's own packages.
fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("metadata is JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Whether a package may import another of ours; `test` is for dev-dependencies.
fn allowed(importer: &str, is_library: bool, imported: &str, test: bool) -> bool {
    match imported {
        BINARY => importer == EXAMPLES,
        TESTKIT => test || !is_library && importer != BINARY,
        // The test kit stands on proxy-core, whose own tests stand on the test kit.
        CORE => importer != CORE,
        _ => importer == BINARY || !is_library,
    }
}

fn violations(metadata: &Value) -> Vec<Violation> {
    let packages = list(metadata, "packages");
    let ours: BTreeSet<_> = packages.iter().map(|package| text(package, "name")).collect();
    let mut found = Vec::new();
    for package in packages {
        let importer = text(package, "name");
        // Beside the crates there are the packages of examples, tests and measurements.
        let is_library = importer.starts_with("proxy-") && importer != BINARY;
        for dependency in list(package, "dependencies") {
            let imported = text(dependency, "name");
            let test = dependency["kind"] == "dev";
            if ours.contains(imported) && !allowed(importer, is_library, imported, test) {
                let kind = if test { " in its tests" } else { "" };
                found.push(format!("{importer} imports {imported}{kind}"));
            }
        }
    }
    found
}

#[test]
fn imports_point_one_way() {
    let metadata = metadata();
    let found = violations(&metadata);
    assert!(found.is_empty(), "{}", found.join("; "));
    let names: Vec<_> = list(&metadata, "packages").iter().map(|p| text(p, "name")).collect();
    for name in [CORE, TESTKIT, BINARY] {
        assert!(names.contains(&name), "{name} is not in {names:?}: has it been renamed?");
    }
}

#[test]
fn a_library_has_the_name_of_one() {
    for package in list(&metadata(), "packages") {
        let (name, path) = (text(package, "name"), text(package, "manifest_path"));
        let is_crate = path.replace('\\', "/").contains(&format!("/crates/{name}/"));
        assert_eq!(is_crate, name.starts_with("proxy-"), "{name} lies at {path}");
    }
}

#[test]
fn a_wrong_import_is_found() {
    for (importer, imported, kind, wrong) in [
        ("proxy-core", "proxy-observe", Value::Null, true),
        ("proxy-core", "proxy-testkit", json!("dev"), false),
        ("proxy-core", "proxy-testkit", Value::Null, true),
        ("proxy-observe", "proxy-core", Value::Null, false),
        ("proxy-observe", "proxy-cache", Value::Null, true),
        ("proxy-observe", "proxy-cache", json!("dev"), true),
        ("proxy-observe", "proxy-testkit", json!("build"), true),
        ("proxy-server", "proxy-upstream", Value::Null, true),
        ("proxy-upstream", "proxy-testkit", json!("dev"), false),
        ("proxy-testkit", "proxy-core", Value::Null, false),
        ("proxy-testkit", "proxy-server", Value::Null, true),
        ("proxy-server", "proxy-bin", json!("dev"), true),
        ("proxy-bin", "proxy-upstream", Value::Null, false),
        ("proxy-bin", "proxy-testkit", Value::Null, true),
        ("proxy-bin", "proxy-testkit", json!("dev"), false),
        ("proxyd-examples", "proxy-server", Value::Null, false),
        ("proxyd-tests", "proxy-bin", Value::Null, true),
        ("proxyd-tests", "proxy-testkit", Value::Null, false),
        ("proxy-observe", "not-ours", Value::Null, false),
    ] {
        let metadata = json!({ "packages": [
            { "name": importer, "dependencies": [{ "name": imported, "kind": kind }] },
            { "name": if imported == "not-ours" { "other" } else { imported }, "dependencies": [] },
        ]});
        let found = violations(&metadata);
        assert_eq!(!found.is_empty(), wrong, "{importer} -> {imported} ({kind}): {found:?}");
    }
}
