//! `[forward.tunnel]` and the guard's mode.

use std::time::Duration;

use super::*;

fn keys(keys: &str) -> String {
    format!("[listeners.web]\naddress = \"127.0.0.1:3128\"\nrole = \"forward\"\n{keys}")
}

#[test]
fn tunnels_have_defaults() {
    let forward = loaded(&keys("")).resolved.forward;
    assert_eq!(forward.guard, raw::Mode::Enforce);
    let tunnel = forward.tunnel;
    assert_eq!((tunnel.sni, tunnel.mode), (raw::ServerNames::Lists, raw::Mode::Enforce));
    assert!(tunnel.require_tls_ports.ranges().is_empty());
    assert_eq!((tunnel.limits.timeout, tunnel.limits.size), (Duration::from_secs(10), 16384));
    assert!(warnings(&keys("")).is_empty());
}

#[test]
fn what_is_risky_or_useless_is_a_warning() {
    let found = warnings(&keys(
        "[forward]\nguard = \"report\"\n[forward.tunnel]\nrequire_tls_ports = [443, 22]\n\
         encrypted_hello = \"refuse\"",
    ));
    let places: Vec<_> = found.iter().filter_map(|line| line.split(": ").nth(2)).collect();
    assert_eq!(
        places,
        ["forward.guard", "forward.tunnel.require_tls_ports[1]", "forward.tunnel.encrypted_hello"],
        "{found:#?}"
    );
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (text, place) in [
        ("sni = \"maybe\"", "forward.tunnel.sni"),
        ("hello_size = \"1MiB\"", "forward.tunnel.hello_size"),
        ("hello_size = \"100B\"", "forward.tunnel.hello_size"),
        ("hello_timeout = \"0s\"", "forward.tunnel.hello_timeout"),
        ("require_tls_ports = [\"9-1\"]", "forward.tunnel.require_tls_ports[0]"),
        ("tls = true", "forward.tunnel.tls"),
    ] {
        let found = errors(&keys(&format!("[forward.tunnel]\n{text}")));
        assert!(found.iter().any(|line| line.contains(place)), "{text}: {found:#?}");
    }
}
