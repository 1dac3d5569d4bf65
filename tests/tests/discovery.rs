//! Endpoints that are found in a file: what changes, what stays, and what a broken file does.

use std::fs;

use proxyd_tests::client;
use proxyd_tests::configured;
use proxyd_tests::origin::Origin;
use proxyd_tests::proxyd::{Proxyd, run_to_end};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting;
use serde_json::Value;

/// A gateway whose endpoints stand in `endpoints.toml` of this folder.
fn gateway(folder: &Scratch, keys: &str) -> Proxyd {
    let file = folder.path().join("endpoints.toml");
    let rest = format!(
        "[[routes]]\nname = \"all\"\nupstream = \"found\"\n\n[upstreams.found]\n\
         discover = {{ file = \"{}\" }}\n{keys}\n",
        file.display()
    );
    configured::gateway_routes("http://127.0.0.1:9", "", &rest).start()
}

/// Puts a file in place, whole.
fn put(folder: &Scratch, text: &str) {
    folder.write("new.toml", text);
    let (new, path) = (folder.path().join("new.toml"), folder.path().join("endpoints.toml"));
    fs::rename(new, path).expect("rename");
}

/// The names of the endpoints that there are.
fn names(proxy: &Proxyd) -> Vec<String> {
    let all: Value = serde_json::from_slice(&proxy.ask_admin("/upstreams").content).expect("JSON");
    let found = all.as_array().expect("a list").iter().find(|own| own["name"] == "found");
    let endpoints = found.expect("the upstream")["endpoints"].as_array().expect("endpoints");
    endpoints.iter().map(|own| own["name"].as_str().expect("a name").to_owned()).collect()
}

fn await_names(proxy: &Proxyd, origins: &[&Origin]) {
    let mut expected: Vec<_> = origins.iter().map(|own| own.address().to_string()).collect();
    expected.sort_unstable();
    waiting::until(&format!("{expected:?}"), || {
        let mut found = names(proxy);
        found.sort_unstable();
        (found == expected).then_some(())
    });
}

fn text(proxy: &Proxyd) -> String {
    client::get(proxy.address(), "app.test", "/").text()
}

#[test]
fn endpoints_come_and_go_with_the_file() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let folder = Scratch::new("discovery");
    put(&folder, &format!("endpoints = [\"{}\"]\n", one.url()));
    let proxy = gateway(&folder, "slow_start = \"0s\"");
    assert_eq!(text(&proxy), "one");
    put(&folder, &format!("endpoints = [\"{}\", \"{}\"]\n", one.url(), two.url()));
    await_names(&proxy, &[&one, &two]);
    let answers: Vec<String> = (0..4).map(|_| text(&proxy)).collect();
    assert_eq!(answers.iter().filter(|own| *own == "two").count(), 2, "{answers:?}");
    assert_eq!(one.links(), 1, "an endpoint that stays keeps its connections");
    put(&folder, &format!("endpoints = [\"{}\"]\n", two.url()));
    await_names(&proxy, &[&two]);
    assert!((0..4).all(|_| text(&proxy) == "two"));
    let metrics = proxy.ask_admin("/metrics").text();
    let gone = format!(
        "proxy_upstream_endpoint_in_service{{upstream=\"found\",endpoint=\"{}\"}} 0",
        one.address()
    );
    assert!(metrics.contains(&gone), "{metrics}");
    assert!(
        metrics
            .contains("proxy_upstream_discoveries_total{upstream=\"found\",outcome=\"changed\"}")
    );
}

#[test]
fn what_is_wrong_changes_nothing() {
    let one = Origin::saying("one");
    let folder = Scratch::new("discovery-broken");
    put(&folder, &format!("endpoints = [\"{}\"]\n", one.url()));
    let proxy = gateway(&folder, "");
    let failed = |count: usize| {
        let series = format!(
            "proxy_upstream_discoveries_total{{upstream=\"found\",outcome=\"failed\"}} {count}"
        );
        waiting::until(&series, || {
            proxy.ask_admin("/metrics").text().contains(&series).then_some(())
        });
        assert_eq!(text(&proxy), "one");
    };
    put(&folder, "endpoints = [\"http://");
    failed(1);
    put(&folder, "endpoints = []\n");
    failed(2);
    put(&folder, "endpoints = [\"https://127.0.0.1:9\"]\n");
    failed(3);
    fs::remove_file(folder.path().join("endpoints.toml")).expect("remove");
    failed(4);
    let two = Origin::saying("two");
    put(&folder, &format!("endpoints = [\"{}\"]\n", two.url()));
    await_names(&proxy, &[&two]);
    assert_eq!(text(&proxy), "two");
    let said = proxy.stderr();
    assert!(said.contains("the last ones stay"), "{said}");
}

#[test]
fn checks_follow_the_endpoints() {
    let (well, ill) = (
        Origin::saying("well"),
        Origin::answering(|request, _| match request.head.target.as_str() {
            "/up" => vec![proxyd_tests::origin::response("500 Ill", &[], "")],
            _ => proxyd_tests::origin::ok("ill"),
        }),
    );
    let folder = Scratch::new("discovery-checks");
    put(&folder, &format!("endpoints = [\"{}\"]\n", well.url()));
    let proxy = gateway(
        &folder,
        "slow_start = \"0s\"\n\
         health_check = { path = \"/up\", interval = \"50ms\", timeout = \"5s\", unhealthy_after = 1 }",
    );
    assert_eq!(text(&proxy), "well");
    put(&folder, &format!("endpoints = [\"{}\", \"{}\"]\n", well.url(), ill.url()));
    let series = format!(
        "proxy_upstream_endpoint_in_service{{upstream=\"found\",endpoint=\"{}\"}} 0",
        ill.address()
    );
    waiting::until(&series, || proxy.ask_admin("/metrics").text().contains(&series).then_some(()));
    assert!((0..6).all(|_| text(&proxy) == "well"));
}

#[test]
fn mistakes_are_named_with_their_place() {
    let folder = Scratch::new("discovery-mistakes");
    let check = |discover: &str| {
        let config = format!(
            "[listeners.web]\naddress = \"127.0.0.1:8080\"\nrole = \"gateway\"\n\n\
             [upstreams.a]\n{discover}\n\n[[routes]]\nname = \"all\"\nupstream = \"a\"\n"
        );
        folder.write("proxyd.toml", &config);
        run_to_end(folder.path(), &["check", "--config", "proxyd.toml"])
    };
    for (discover, expected) in [
        ("", "expected `endpoints`, or `discover`"),
        ("discover = {}", "expected one of `file`, `dns` and `srv`"),
        ("discover = { dns = \"http://a\", srv = \"http://b\" }", "expected one of"),
        ("discover = { file = \"none.toml\" }", "upstreams.a.discover.file: cannot read"),
        ("discover = { dns = \"http://127.0.0.1:80\" }", "expected a URL with a name"),
        ("discover = { srv = \"http://_http._tcp.a:80\" }", "leave it out"),
        ("endpoints = [\"http://a\"]\ndiscover = { dns = \"http://a\" }", "either `endpoints`"),
    ] {
        let outcome = check(discover);
        assert_eq!(outcome.code, Some(2), "{discover}: {outcome:?}");
        assert!(outcome.stderr.contains(expected), "{discover}: {}", outcome.stderr);
    }
    assert_eq!(check("discover = { dns = \"http://app.test:8080\" }").code, Some(0));
    assert_eq!(check("discover = { srv = \"http://_http._tcp.app.test\" }").code, Some(0));
}
