//! Keys that do nothing are told of: whoever wrote them expects something.

use super::*;
use crate::cli::{CaInit, make_authority};

const GATEWAY: &str = "[listeners.web]\naddress = \"127.0.0.1:80\"\nrole = \"gateway\"\n";
const FORWARD: &str = "[listeners.out]\naddress = \"127.0.0.1:3128\"\nrole = \"forward\"\n";
const APP: &str = "[[routes]]\nname = \"a\"\nupstream = \"app\"\n[upstreams.app]\n";
const ONE: &str = "endpoints = [\"http://127.0.0.1:1\"]\n";
const SECURE: &str = "endpoints = [\"https://127.0.0.1:1\"]\n";

#[test]
fn a_key_without_effect_is_told_with_its_path() {
    let folder = Folder::new(&[("program", "no program\n")]);
    let (cert, key) = (folder.path("ca.pem"), folder.path("ca.key"));
    let days = 365;
    let order = CaInit { cert, key, name: "test".to_owned(), days, only: Vec::new() };
    make_authority(&order).unwrap();
    let program = folder.path("program");
    for (text, path, part) in [
        (
            format!("{GATEWAY}[filter]\nblock_exceptions = [\"a.test\"]\n"),
            "filter.block_exceptions",
            "has no effect without `block_domains`",
        ),
        (
            format!(
                "{FORWARD}[forward.intercept]\nca_cert = \"ca.pem\"\nca_key = \"ca.key\"\n\
                 names = [\"a.test\"]\ncache = true\n"
            ),
            "forward.intercept.cache",
            "has no effect without `[forward] cache`",
        ),
        (
            format!("{GATEWAY}{APP}{ONE}hedge = {{}}\n"),
            "upstreams.app.hedge",
            "has no effect: there is one endpoint",
        ),
        (
            format!("{GATEWAY}[exec]\nallow_destinations = [\"a.test\"]\n"),
            "exec.allow_destinations",
            "without effect: no parameter has `fetch = true`",
        ),
        (
            format!("{GATEWAY}{APP}{SECURE}tls = {{ verify = false, ca = \"ca.pem\" }}\n"),
            "upstreams.app.tls.ca",
            "has no effect with `verify = false`",
        ),
        (
            format!("{GATEWAY}[buffer]\nmemory = \"1MiB\"\n"),
            "buffer",
            "has no effect: no route says `buffer`",
        ),
        (
            format!("{GATEWAY}quic = {{ retry = \"always\" }}\n"),
            "listeners.web.quic",
            "has no effect without \"h3\" in `protocols`",
        ),
        (
            format!(
                "{GATEWAY}[[routes]]\nname = \"a\"\nexec = {{ program = \"{}\" }}\n",
                program.display()
            ),
            "routes[0].exec.program",
            "may be executed by nobody",
        ),
    ] {
        fs::write(folder.path("a.toml"), &text).unwrap();
        let loaded = folder.load("a.toml").unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        let found: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        let told = |line: &String| line.contains(&format!(": {path}: ")) && line.contains(part);
        assert!(found.iter().any(told), "{path}: {part}\n{found:#?}");
    }
}
