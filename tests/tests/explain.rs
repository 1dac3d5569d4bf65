//! `proxyd explain`: by a file, and in a running process.

use std::fs;

use proxyd_tests::client::{self, Answer, Client};
use proxyd_tests::configured;
use proxyd_tests::origin::{self, Origin};
use proxyd_tests::proxyd::{Outcome, Proxyd, run_to_end};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting;

const GATEWAY: &str = r#"
[listeners.web]
address = "127.0.0.1:8080"
role = "gateway"
trusted_proxies = ["10.0.0.0/8"]

[upstreams.app]
endpoints = ["http://127.0.0.1:9"]

[[routes]]
name = "old"
match = { path_prefixes = ["/old/"] }
redirect = { to = "/new/{rest}", status = 308 }

[[routes]]
name = "staff"
match = { path_prefixes = ["/staff"] }
upstream = "app"
allow_clients = ["192.0.2.0/24"]

[[routes]]
name = "kept"
match = { path_prefixes = ["/kept"] }
upstream = "app"
cache = true
"#;

const FORWARD: &str = r#"
[listeners.out]
address = "127.0.0.1:3128"
role = "forward"

[forward]
allow_destinations = ["10.1.0.0/16"]
"#;

/// What a file says about a request, as lines; one space between the columns.
fn explained(config: &str, arguments: &[&str]) -> String {
    let folder = Scratch::new("explain");
    folder.write("proxyd.toml", config);
    let all = [&["explain", "--config", "proxyd.toml"], arguments].concat();
    let outcome = run_to_end(folder.path(), &all);
    assert_eq!(
        (outcome.code, outcome.stderr.as_str()),
        (Some(0), ""),
        "{arguments:?}: {outcome:?}"
    );
    columns(&outcome.stdout)
}

fn columns(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.map(|line| line + "\n").collect()
}

fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|own| own == *line), "{line}\n{text}");
    }
}

fn has_no(text: &str, layers: &[&str]) {
    for layer in layers {
        assert!(!text.lines().any(|own| own.starts_with(layer)), "{layer}\n{text}");
    }
}

#[test]
fn a_gateway_by_its_file() {
    let asked = |arguments: &[&str]| explained(GATEWAY, arguments);

    let allowed = asked(&["GET", "http://a.test/staff/./x?b", "--from", "192.0.2.7"]);
    has(
        &allowed,
        &[
            "listener gateway web on 127.0.0.1:8080: the only one",
            "accept allow 10.0.0.0: trusted_proxy",
            "client known 192.0.2.7, by x-forwarded-for",
            "target normal /staff/x?b from /staff/./x?b",
            "route match staff",
            "cache off",
            "guard allow 127.0.0.1:9",
            "upstream chosen app: 127.0.0.1:9, h1, host of client",
            "request sent GET /staff/x?b",
            "request changed x-forwarded-for: 192.0.2.7, 10.0.0.0 from 192.0.2.7",
            "answer later by upstream",
        ],
    );
    let refused = asked(&["GET", "http://a.test/staff"]);
    has(
        &refused,
        &["route match staff", "gateway deny client_not_allowed", "answer 403 by refusal"],
    );
    has_no(&refused, &["upstream", "request", "cache"]);
    let missing = asked(&["GET", "http://a.test/nowhere"]);
    has(&missing, &["gateway deny no_route", "answer 404 by refusal"]);
    let moved = asked(&["GET", "http://a.test/old/a?b"]);
    has(&moved, &["route match old", "answer 308 by route", "answer field location: /new/a?b"]);
    let looped = asked(&["GET", "http://a.test/", "-H", "Via: 1.1 proxyd-00000000"]);
    has(&looped, &["hygiene deny proxy_loop_detected", "answer 508 by refusal"]);

    let kept =
        asked(&["GET", "http://a.test/kept?a", "-H", "Cookie: id=1", "-H", "X-Real-IP: ::1"]);
    has(
        &kept,
        &[
            "cache miss uri-miss",
            "cache key gateway/kept http://a.test/kept?a",
            "cache stored unknown: no process was asked",
            "cache storage only with public or s-maxage: personal (cookie)",
            "request removed x-real-ip: ::1",
        ],
    );
    let plain = asked(&["GET", "http://a.test/kept"]);
    has(&plain, &["cache storage if the response allows it"]);
    let posted = asked(&["DELETE", "http://a.test/kept"]);
    has(&posted, &["cache bypass method", "cache storage never: method"]);
}

#[test]
fn a_forward_proxy_by_its_file() {
    let asked = |arguments: &[&str]| explained(FORWARD, arguments);
    for (method, url, reason) in [
        ("GET", "http://10.0.0.1/", "private"),
        ("GET", "http://[::ffff:127.0.0.1]/", "loopback"),
        ("GET", "http://localhost/", "loopback"),
        ("GET", "http://127.0.0.1:3128/", "own-listener"),
        ("GET", "http://a.test:25/", "port"),
        ("CONNECT", "192.168.0.1:443", "private"),
        ("CONNECT", "a.test:80", "port"),
    ] {
        let refused = asked(&[method, url]);
        let word = if reason == "port" { "port_not_allowed" } else { "destination_ip_prohibited" };
        let guard = format!("guard deny {word} (rule guard:{reason})");
        has(&refused, &[&guard, "answer 403 by refusal"]);
        has_no(&refused, &["upstream chosen", "request"]);
    }
    let waived = asked(&["GET", "http://10.1.2.3:8000/a", "-H", "Proxy-Authorization: x"]);
    has(
        &waived,
        &[
            "guard allow 10.1.2.3:8000",
            "upstream chosen 10.1.2.3:8000, h1, host of client",
            "request sent GET /a",
            "request removed proxy-authorization: x",
        ],
    );
    let named = asked(&["CONNECT", "a.test:443"]);
    has(
        &named,
        &[
            "guard later a name: judged when it is resolved",
            "upstream chosen a.test:443",
            "answer later by tunnel",
        ],
    );
}

#[test]
fn json_says_the_same() {
    let folder = Scratch::new("explain");
    folder.write("proxyd.toml", GATEWAY);
    let asked = ["explain", "--config", "proxyd.toml", "GET", "http://a.test/kept", "--json"];
    let outcome = run_to_end(folder.path(), &asked);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for part in [
        "\"route\": \"kept\"",
        "\"live\": false",
        "\"look_up\": \"miss\"",
        "\"hash\": \"",
        "\"endpoint\": \"127.0.0.1:9\"",
        "\"storage\": \"allowed\"",
    ] {
        assert!(outcome.stdout.contains(part), "{part}\n{}", outcome.stdout);
    }
}

#[test]
fn what_is_asked_wrong_is_2() {
    let folder = Scratch::new("explain");
    folder.write("proxyd.toml", GATEWAY);
    folder.write("wrong.toml", "[listeners.web]\nrole = \"gatway\"\n");
    for (arguments, reason) in [
        (&["GET", "http://a.test/"][..], "expected `--config FILE`, or `--admin ADDR`"),
        (&["--config", "wrong.toml", "GET", "http://a.test/"], "did you mean \"gateway\"?"),
        (&["--config", "proxyd.toml", "GET"], "<URL>"),
        (&["--config", "proxyd.toml", "GET", "a.test"], "`a.test` is not a URL"),
        (&["--config", "proxyd.toml", "GET", "/", "--listener", "x"], "there are `web`"),
        (&["--config", "proxyd.toml", "GET", "/", "-H", "x"], "`x` is not a field"),
        (&["--config", "proxyd.toml", "GET", "/", "--peer", "a.test"], "--peer"),
        (&["--admin", "a.test", "GET", "/"], "expected `ip:port` or `unix:/path`"),
    ] {
        let outcome = run_to_end(folder.path(), &[&["explain"], arguments].concat());
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(outcome.stderr.contains(reason), "{arguments:?}: {}", outcome.stderr);
    }
}

/// A gateway with a cached route to this origin.
fn cached(origin: &Origin) -> Proxyd {
    configured::gateway(&origin.url(), "", "cache = true").env("RUNTIME_DIRECTORY", ".").start()
}

fn token_file(proxy: &Proxyd) -> String {
    format!("admin-{}.token", proxy.admin().port())
}

fn ask(proxy: &Proxyd, arguments: &[&str]) -> Outcome {
    let (admin, token) = (proxy.admin().to_string(), token_file(proxy));
    let all = [&["explain", "--admin", &admin, "--token-file", &token], arguments].concat();
    run_to_end(proxy.folder(), &all)
}

fn told(proxy: &Proxyd, arguments: &[&str]) -> String {
    let outcome = ask(proxy, arguments);
    assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:?}");
    columns(&outcome.stdout)
}

/// `POST /explain` with this token and content.
fn post(proxy: &Proxyd, token: &str, content: &str) -> Answer {
    let length = content.len();
    let request = format!(
        "POST /explain HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {length}\r\n\r\n{content}"
    );
    Client::connect(proxy.admin()).ask("POST", request)
}

/// What is counted. How many connections are open at the moment is not.
fn counters(proxy: &Proxyd) -> Vec<String> {
    let text = proxy.ask_admin("/metrics").text();
    let own = text.lines().filter(|line| {
        // What the question itself changes, or time.
        let own = ["proxy_server_connections{", "process_", "proxy_runtime_lag_seconds"];
        !own.iter().any(|own| line.starts_with(own))
    });
    let mut own: Vec<String> = own.map(str::to_owned).collect();
    own.sort();
    own
}

#[test]
fn a_running_process_says_what_it_has_stored() {
    let origin = Origin::answering(|_, _| {
        let fields = [
            ("Cache-Control", "max-age=600"),
            ("Vary", "Accept-Language"),
            ("Cache-Tag", "one, two"),
            ("ETag", "\"a\""),
        ];
        vec![origin::response("200 OK", &fields, "0123456789")]
    });
    let proxy = cached(&origin);
    let _ = client::get(proxy.address(), "a.test", "/1");
    let stale = client::get(proxy.address(), "a.test", "/1");
    assert!(stale.field("cache-status").is_some_and(|s| s.starts_with("proxyd; hit")), "{stale:?}");
    let count =
        "http_server_request_duration_seconds_count{route=\"all\",method=\"GET\",status=\"200\"} 2";
    waiting::until("both requests are counted and logged", || {
        let counted = counters(&proxy);
        let has = |line: &str| counted.iter().any(|own| own == line);
        let active = |line: &String| {
            line.starts_with("http_server_active_requests{") && !line.ends_with(" 0")
        };
        let ended = has(count) && !counted.iter().any(active);
        (ended && proxy.log().lines().count() == 2).then_some(())
    });
    let (counted, cache, links) =
        (counters(&proxy), proxy.ask_admin("/cache").text(), origin.links());

    let hit = told(&proxy, &["GET", "http://a.test/1"]);
    has(&hit, &["cache hit fresh", "cache key gateway/all http://a.test/1", "answer 200 by cache"]);
    has_no(&hit, &["upstream", "request"]);
    let stored = hit.lines().find(|line| line.starts_with("cache selected 200, age ")).expect(&hit);
    assert!(
        stored.contains(" s by max-age, 10 bytes, vary accept-language, tags one two"),
        "{hit}"
    );
    assert!(hit.contains("answer field cache-status: proxyd; hit; ttl="), "{hit}");

    let other = told(&proxy, &["GET", "http://a.test/1", "-H", "Accept-Language: de"]);
    has(&other, &["cache miss vary-miss", "answer later by upstream"]);
    assert!(other.contains("cache stored 200, age ") && other.contains("if-none-match: \"a\""));
    let again = told(&proxy, &["GET", "http://a.test/1", "-H", "Cache-Control: no-cache"]);
    has(&again, &["cache validate request-no-cache", "request added if-none-match: \"a\""]);
    let known = told(&proxy, &["GET", "http://a.test/1", "-H", "If-None-Match: \"a\""]);
    has(&known, &["cache hit fresh", "answer 304 by cache"]);
    let unsafe_one = told(&proxy, &["POST", "http://a.test/1"]);
    has(&unsafe_one, &["cache bypass method", "answer later by upstream"]);
    let nothing = told(&proxy, &["GET", "http://a.test/2"]);
    has(&nothing, &["cache miss uri-miss", "cache stored nothing"]);
    let json = ask(&proxy, &["GET", "http://a.test/1", "--json"]).stdout;
    assert!(json.contains("\"live\": true") && json.contains("\"size\": 10"), "{json}");

    let changed: Vec<String> =
        counters(&proxy).into_iter().filter(|line| !counted.contains(line)).collect();
    assert!(changed.is_empty(), "{changed:?}");
    assert_eq!(proxy.ask_admin("/cache").text(), cache);
    assert_eq!((origin.requests().len(), origin.links()), (1, links));
    assert_eq!(proxy.log().lines().count(), 2);
    let hit = client::get(proxy.address(), "a.test", "/1");
    assert!(hit.field("cache-status").is_some_and(|s| s.starts_with("proxyd; hit")), "{hit:?}");
}

#[test]
fn a_question_needs_the_token() {
    let origin = Origin::saying("x");
    let proxy = cached(&origin);
    let _ = client::get(proxy.address(), "a.test", "/");
    let token = fs::read_to_string(proxy.folder().join(token_file(&proxy))).expect("a token");
    let question = "{\"method\":\"GET\",\"url\":\"http://a.test/\"}";
    assert_eq!(post(&proxy, "wrong", question).status(), 401);
    let answer = post(&proxy, &token, question);
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert!(answer.text().contains("\"look_up\":\"miss\""), "{answer:?}");
    for content in ["{}", "{\"method\":\"GET\",\"url\":\"a\"}", "GET"] {
        let answer = post(&proxy, &token, content);
        assert_eq!(answer.status(), 400, "{content}");
        assert!(answer.text().starts_with("{\"error\":\""), "{answer:?}");
    }
    let wrong = ask(&proxy, &["GET", "a.test"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    fs::write(proxy.folder().join(token_file(&proxy)), "wrong").expect("written");
    let refused = ask(&proxy, &["GET", "/"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
    assert_eq!(origin.requests().len(), 1);
}
