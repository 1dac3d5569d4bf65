//! `proxyd purge` and the admin listener of a proxy that stores responses.

use std::fs;
use std::path::Path;

use proxyd_tests::client::{self, Answer, Client};
use proxyd_tests::configured;
use proxyd_tests::origin::{self, Act, Origin};
use proxyd_tests::proxyd::{self, Outcome, Proxyd, run_to_end};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting;

const CONTENT: &str = "0123456789";

/// An origin whose responses are fresh for long, and tagged with their path.
fn tagging() -> Origin {
    Origin::answering(|request, _| {
        let tag = format!("all, tag of {}", request.head.target);
        let fields = [("Cache-Control", "max-age=600"), ("ETag", "\"a\""), ("Cache-Tag", &tag)];
        if request.head.fields.has("if-none-match") {
            let confirmed = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n";
            return vec![Act::Send(confirmed.into())];
        }
        vec![origin::response("200 OK", &fields, CONTENT)]
    })
}

/// A gateway with two cached routes: `one` for what is below `/one`, `all` for the rest.
fn cached(origin: &Origin) -> Proxyd {
    let routes = "[[routes]]\nname = \"one\"\nmatch = { path_prefixes = [\"/one\"] }\n\
                  upstream = \"app\"\n\n[[routes]]\nname = \"all\"\nupstream = \"app\"\n\n\
                  [defaults]\ncache = true\n";
    configured::gateway_routes(&origin.url(), "", routes).env("RUNTIME_DIRECTORY", ".").start()
}

fn status(proxy: &Proxyd, host: &str, path: &str) -> String {
    let answer = client::get(proxy.address(), host, path);
    assert_eq!((answer.status(), answer.text().as_str()), (200, CONTENT), "{answer:?}");
    answer.field("cache-status").expect("Cache-Status").to_owned()
}

fn is_hit(proxy: &Proxyd, host: &str, path: &str) -> bool {
    status(proxy, host, path).starts_with("proxyd; hit")
}

/// The file of the token that the process made.
fn token_file(proxy: &Proxyd) -> String {
    format!("admin-{}.token", proxy.admin().port())
}

fn purge(proxy: &Proxyd, arguments: &[&str]) -> Outcome {
    let (admin, token) = (proxy.admin().to_string(), token_file(proxy));
    let all = [&["purge", "--admin", &admin, "--token-file", &token], arguments].concat();
    run_to_end(proxy.folder(), &all)
}

fn purged(proxy: &Proxyd, arguments: &[&str]) -> String {
    let outcome = purge(proxy, arguments);
    assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:?}");
    outcome.stdout.split(',').next().expect("a line").to_owned()
}

/// `POST /cache/purge` with this token and content.
fn post(proxy: &Proxyd, token: &str, content: &str) -> Answer {
    let length = content.len();
    let request = format!(
        "POST /cache/purge HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {length}\r\n\r\n{content}"
    );
    Client::connect(proxy.admin()).ask("POST", request)
}

#[test]
fn what_is_purged_is_fetched_again_and_nothing_else() {
    let origin = tagging();
    let proxy = cached(&origin);
    let pages = [("a.test", "/1"), ("a.test", "/1?b"), ("a.test", "/one/2"), ("b.test", "/1")];
    for (arguments, gone) in [
        (&["http://a.test/1"][..], &[0][..]),
        (&["http://A.test:80/1?b#c"], &[1]),
        (&["http://a.test/one/2"], &[2]),
        (&["--prefix", "http://a.test/1"], &[0, 1]),
        (&["--prefix", "http://a.test"], &[0, 1, 2]),
        (&["--host", "b.test"], &[3]),
        (&["--tag", "tag of /1"], &[0, 3]),
        (&["--all"], &[0, 1, 2, 3]),
        (&["http://a.test/none"], &[]),
        (&["--tag", "tag"], &[]),
    ] {
        for (host, path) in pages {
            let _ = status(&proxy, host, path);
            assert!(is_hit(&proxy, host, path), "{host}{path}");
        }
        let s = if gone.len() == 1 { "" } else { "s" };
        let responses = format!("{} response{s}", gone.len());
        let dry = [arguments, &["--dry-run"]].concat();
        assert_eq!(purged(&proxy, &dry), format!("would remove {responses}"), "{arguments:?}");
        assert_eq!(purged(&proxy, arguments), format!("removed {responses}"), "{arguments:?}");
        for (index, (host, path)) in pages.iter().enumerate() {
            assert_eq!(is_hit(&proxy, host, path), !gone.contains(&index), "{arguments:?} {path}");
        }
    }
}

#[test]
fn a_soft_purge_has_it_validated() {
    let origin = tagging();
    let proxy = cached(&origin);
    let _ = status(&proxy, "a.test", "/1");
    assert_eq!(purged(&proxy, &["--all", "--soft", "--dry-run"]), "would mark stale 1 response");
    assert!(is_hit(&proxy, "a.test", "/1"));
    assert_eq!(purged(&proxy, &["--all", "--soft"]), "marked stale 1 response");
    let told = status(&proxy, "a.test", "/1");
    assert!(told.contains("fwd=stale") && told.contains("fwd-status=304"), "{told}");
    assert!(is_hit(&proxy, "a.test", "/1"));
}

#[test]
fn the_cache_is_shown() {
    let origin = tagging();
    let proxy = cached(&origin);
    for (host, path) in [("a.test", "/1"), ("a.test", "/1"), ("a.test", "/one/2")] {
        let _ = status(&proxy, host, path);
    }
    let answer = proxy.ask_admin("/cache");
    assert_eq!(answer.field("content-type"), Some("application/json"));
    let text = answer.text();
    for part in [
        "\"capacity\":67108864",
        "\"entries\":2",
        "\"evicted\":0",
        "\"hit\":1,\"hit_ratio\":0.5",
        "\"route\":\"gateway/all\"",
        "\"route\":\"gateway/one\"",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let metrics = proxy.ask_admin("/metrics").text();
    let hit = "proxy_cache_requests_total{route=\"all\",outcome=\"hit\"} 1";
    assert!(metrics.lines().any(|line| line == hit), "{metrics}");
}

#[test]
fn a_purge_needs_the_token_and_one_selector() {
    let origin = tagging();
    let proxy = cached(&origin);
    let _ = status(&proxy, "a.test", "/1");
    let token = fs::read_to_string(proxy.folder().join(token_file(&proxy))).expect("a token");
    assert_eq!(post(&proxy, "wrong", "{\"all\":true}").status(), 401);
    for (content, reason) in [
        ("{}", "expected one of `url`, `prefix`, `tag`, `host`, `all`"),
        ("{\"all\":true,\"host\":\"a.test\"}", "expected one of"),
        ("{\"url\":\"/1\"}", "`url`: expected a URL"),
        ("{\"page\":1}", "unknown field `page`"),
        ("all", "expected value"),
    ] {
        let answer = post(&proxy, &token, content);
        assert_eq!(answer.status(), 400, "{content}");
        assert!(answer.text().starts_with(&format!("{{\"error\":\"{reason}")), "{answer:?}");
    }
    assert!(is_hit(&proxy, "a.test", "/1"), "nothing of it did anything");
    let answer = post(&proxy, &token, "{\"all\":true}");
    assert!(answer.text().contains("\"responses\":1"), "{answer:?}");

    let wrong = purge(&proxy, &["a.test/1"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(2), ""));
    assert!(wrong.stderr.contains("answered 400: `url`: expected a URL"), "{wrong:?}");
    fs::write(proxy.folder().join(token_file(&proxy)), "wrong").expect("written");
    let refused = purge(&proxy, &["--all"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("answered 401"), "{refused:?}");
}

#[test]
fn where_nothing_is_cached_there_is_nothing_to_purge() {
    let origin = tagging();
    let proxy = proxyd::reverse(&origin.url()).env("RUNTIME_DIRECTORY", ".").start();
    let _ = client::get(proxy.address(), "a.test", "/1");
    assert_eq!(purged(&proxy, &["--all"]), "removed 0 responses");
    assert!(proxy.ask_admin("/cache").text().contains("\"routes\":[]"));
}

/// Whether a whole response is somewhere in a folder.
fn has_response(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        path.extension().is_some_and(|ending| ending == "response") || has_response(&path)
    })
}

#[test]
fn a_disk_keeps_responses_for_the_next_process() {
    let origin = tagging();
    let folder = Scratch::new("stored");
    let disk = folder.join("disk");
    let rest = format!(
        "cache = true\n[cache]\ndisk = {{ path = \"{}\", size = \"64MiB\" }}\n",
        disk.display()
    );
    let launch = || configured::gateway(&origin.url(), "", &rest).env("RUNTIME_DIRECTORY", ".");
    let mut first = launch().start();
    let _ = status(&first, "a.test", "/1");
    let text = first.ask_admin("/cache").text();
    assert!(text.contains("\"tiers\":{\"disk\":{") && text.contains("\"memory\":{"), "{text}");
    waiting::until("it is on the disk", || has_response(&disk).then_some(()));
    first.sigterm();
    assert_eq!(first.wait_exit().code(), Some(0));
    let second = launch().start();
    waiting::until("the disk is read", || {
        second.ask_admin("/cache").text().contains("\"entries\":1").then_some(())
    });
    assert!(is_hit(&second, "a.test", "/1"));
    assert_eq!(origin.requests().len(), 1);
}
