//! One test for each bullet of the interface's "Semantics that code must not invent" that this
//! part of the proxy touches; what a trusted peer may say is in `trust.rs`.

use std::net::SocketAddr;

use proxyd_tests::client::{self, Answer, Client};
use proxyd_tests::origin::{MARK, Origin};
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::{configured, ports};

fn get(proxy: &Proxyd, path: &str) -> Answer {
    client::get(proxy.address(), "origin.test", path)
}

/// A `GET` in absolute-form.
fn fetch(proxy: &Proxyd, authority: &str) -> Answer {
    let raw = format!("GET http://{authority}/a HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    client::exchange(proxy.address(), "GET", raw)
}

fn connect(proxy: &Proxyd, authority: &str) -> Answer {
    let raw = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    client::exchange(proxy.address(), "CONNECT", raw)
}

#[test]
fn roles_routes_never_apply_to_a_forward_listener() {
    let origin = Origin::saying("hello");
    let (forward, gateway) = (ports::free(), ports::free());
    let config = format!(
        "[listeners.f]\naddress = \"{forward}\"\nrole = \"forward\"\n\
         [listeners.g]\naddress = \"{gateway}\"\nrole = \"gateway\"\n\
         [forward]\nallow_private_destinations = true\n\
         [[routes]]\nname = \"all\"\nrespond = {{ status = 418 }}\n"
    );
    let proxy = proxyd::run(forward, &config).start();
    let answer = fetch(&proxy, &origin.address().to_string());
    assert_eq!((answer.status(), answer.field(MARK)), (200, Some("yes")));
    assert_eq!(client::get(gateway, "origin.test", "/").status(), 418);
    // Not even where the route's own host is asked for in origin-form.
    assert_eq!(client::get(forward, "origin.test", "/").status(), 400);
}

#[test]
fn roles_connect_on_a_gateway_is_405() {
    let origin = Origin::saying("never");
    let proxy = proxyd::reverse(&origin.url()).start();
    let mut client = Client::connect(proxy.address());
    let at = origin.address();
    let raw = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
    assert_eq!(client.ask("CONNECT", raw).status(), 405);
    client.expect_closed();
    assert_eq!(origin.links(), 0);
}

#[test]
fn no_open_proxy_is_started_by_accident() {
    let scratch = Scratch::new("open");
    let everywhere = format!("0.0.0.0:{}", ports::free().port());
    let args = ["forward", "--listen", &everywhere, "--admin", "off"];
    let refused = proxyd::run_to_end(scratch.path(), &args);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("open"), "{refused:?}");

    let config = |more: &str| {
        format!("[listeners.f]\naddress = \"{everywhere}\"\nrole = \"forward\"\n{more}\n")
    };
    for (more, code) in [
        ("", 2),
        ("allow_clients = []", 2),
        ("open = false", 2),
        ("allow_clients = [\"10.0.0.0/8\"]", 0),
        ("open = true", 0),
    ] {
        scratch.write("proxyd.toml", config(more));
        let args = ["check", "--config", "proxyd.toml"];
        let checked = proxyd::run_to_end(scratch.path(), &args);
        assert_eq!(checked.code, Some(code), "{more}: {checked:?}");
    }
}

#[test]
fn names_follow_one_grammar_in_only_domains() {
    let origin = Origin::saying("hello");
    let port = origin.address().port();
    for (rule, name, allowed) in [
        ("localhost", "localhost", true),
        ("=localhost", "localhost", true),
        ("*.localhost", "localhost", false),
        ("other.test", "localhost", false),
        ("host", "localhost", false),
        ("localhost", "notlocalhost", false),
        ("=localhost", "a.localhost", false),
        ("localhost", "127.0.0.1", false),
    ] {
        let rest =
            format!("[forward]\nallow_private_destinations = true\nonly_domains = [\"{rule}\"]\n");
        let proxy = configured::forward("", &rest).start();
        let status = fetch(&proxy, &format!("{name}:{port}")).status();
        assert_eq!(status, if allowed { 200 } else { 403 }, "{rule} {name}");
    }
}

#[test]
fn clients_of_a_listener_deny_beats_allow() {
    let origin = Origin::saying("hello");
    for (keys, served) in [
        ("", true),
        ("allow_clients = [\"127.0.0.0/8\"]", true),
        ("allow_clients = [\"192.0.2.0/24\"]", false),
        ("allow_clients = [\"127.0.0.0/8\"]\ndeny_clients = [\"127.0.0.1\"]", false),
        ("deny_clients = [\"127.0.0.2\"]", true),
    ] {
        let proxy = configured::gateway(&origin.url(), keys, "").start();
        let mut client = Client::connect(proxy.address());
        client.send("GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n");
        // Whoever is not served may be told so, or cut off as soon as it connects.
        let status = client.answer("GET").map_or(0, |answer| answer.status());
        assert_eq!(status == 200, served, "{keys}: {status}");
        assert!(served || [0, 403].contains(&status), "{keys}: {status}");
    }
}

#[test]
fn clients_of_a_route_get_403_and_never_the_next_route() {
    let origin = Origin::saying("never");
    let routes = "[[routes]]\nname = \"ops\"\nmatch = { path_prefixes = [\"/ops/\"] }\n\
                  upstream = \"app\"\nallow_clients = [\"192.0.2.0/24\"]\n\
                  [[routes]]\nname = \"denied\"\nmatch = { paths = [\"/denied\"] }\n\
                  upstream = \"app\"\nallow_clients = [\"127.0.0.0/8\"]\n\
                  deny_clients = [\"127.0.0.1\"]\n\
                  [[routes]]\nname = \"all\"\nrespond = { body = \"fell through\" }\n";
    let proxy = configured::gateway_routes(&origin.url(), "", routes).start();
    assert_eq!(get(&proxy, "/").text(), "fell through");
    for path in ["/ops/", "/ops/a", "/a/../ops/a", "/%6fps/a", "/denied"] {
        let answer = get(&proxy, path);
        assert_eq!(answer.status(), 403, "{path}: {}", answer.text());
        assert!(!answer.text().contains("fell through"), "{path}");
    }
    assert_eq!(origin.links(), 0);
}

#[test]
fn clients_that_use_another_method_get_405_with_allow() {
    let origin = Origin::saying("hello");
    let routes = "[[routes]]\nname = \"read\"\n\
                  match = { paths = [\"/a\"], methods = [\"GET\", \"HEAD\"] }\n\
                  upstream = \"app\"\n\
                  [[routes]]\nname = \"write\"\nmatch = { paths = [\"/a\"], methods = [\"PUT\"] }\n\
                  upstream = \"app\"\n";
    let proxy = configured::gateway_routes(&origin.url(), "", routes).start();
    assert_eq!(get(&proxy, "/a").status(), 200);
    let raw = "DELETE /a HTTP/1.1\r\nHost: origin.test\r\n\r\n";
    let refused = client::exchange(proxy.address(), "DELETE", raw);
    assert_eq!(refused.status(), 405);
    for method in ["GET", "HEAD", "PUT"] {
        assert!(refused.head.fields.lists("allow", method), "{refused:?}");
    }
    assert_eq!(get(&proxy, "/b").status(), 404);
}

#[test]
fn one_path_is_matched_and_forwarded() {
    let origin = Origin::saying("hello");
    let routes = "[[routes]]\nname = \"private\"\nmatch = { path_prefixes = [\"/private\"] }\n\
                  respond = { status = 403 }\n\
                  [[routes]]\nname = \"all\"\nupstream = \"app\"\n";
    let proxy = configured::gateway_routes(&origin.url(), "", routes).start();
    for path in [
        "/private",
        "/private/",
        "/private/a?b",
        "/%70rivate",
        "/a/../private/a",
        "/a/%2e%2e/private/a",
        "/./private",
        "/a/b/../../private",
        "http://origin.test/private",
        "http://origin.test/a/../private",
    ] {
        assert_eq!(get(&proxy, path).status(), 403, "{path}");
    }
    assert_eq!(origin.links(), 0);
    for (path, forwarded) in [
        ("/privateer", "/privateer"),
        ("/private/../b", "/b"),
        ("/a//b", "/a//b"),
        ("/%41/%7Eb/c%20d?e=%41", "/A/~b/c%20d?e=%41"),
    ] {
        assert_eq!(get(&proxy, path).status(), 200, "{path}");
        assert_eq!(origin.last().head.target, forwarded, "{path}");
    }
}

#[test]
fn one_path_has_settings_for_empty_segments_and_encoded_slashes() {
    let origin = Origin::saying("hello");
    let rest = "[server.path]\nmerge_slashes = true\nencoded_slash = \"keep\"\n";
    let proxy = configured::gateway(&origin.url(), "", rest).start();
    for (path, forwarded) in [("/a//b///c", "/a/b/c"), ("/a%2fb", "/a%2Fb"), ("/a%2Fb", "/a%2Fb")] {
        assert_eq!(get(&proxy, path).status(), 200, "{path}");
        let target = origin.last().head.target;
        assert!(target.eq_ignore_ascii_case(forwarded), "{path}: {target}");
    }
    // Kept, it separates nothing: dots beside it are no dot segment.
    let target =
        |path: &str| (get(&proxy, path).status() == 200).then(|| origin.last().head.target);
    if let Some(target) = target("/a/..%2fb") {
        assert!(target.eq_ignore_ascii_case("/a/..%2fb"), "{target}");
    }
}

/// Spellings of addresses that clients must not reach by themselves.
const FORBIDDEN: [&str; 20] = [
    "127.0.0.1",
    "127.8.8.8",
    "localhost",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[fd00::1]",
    "[fe80::1]",
    "[ff02::1]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[::7f00:1]",
];

#[test]
fn guard_keeps_special_addresses_closed() {
    let origin = Origin::saying("never");
    let port = origin.address().port();
    let rest = "[forward]\nconnect_ports = [\"1-65535\"]\n";
    let proxy = configured::forward("", rest).start();
    for host in FORBIDDEN {
        let at = format!("{host}:{port}");
        let answer = fetch(&proxy, &at);
        assert_eq!(answer.status(), 403, "GET {at}");
        // It does not say what a name resolved to.
        assert!(host == "127.0.0.1" || !answer.text().contains("127.0.0.1"), "{at}");
        assert_eq!(connect(&proxy, &at).status(), 403, "CONNECT {at}");
    }
    // Numbers that some resolvers take for addresses: no name, or the address they stand for.
    for host in ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1", "0"] {
        let at = format!("{host}:{port}");
        let status = fetch(&proxy, &at).status();
        assert!([400, 403].contains(&status), "{at}: {status}");
        let status = connect(&proxy, &at).status();
        assert!([400, 403].contains(&status), "CONNECT {at}: {status}");
    }
    assert_eq!(origin.links(), 0);
}

#[test]
fn guard_opens_private_ranges_and_no_others() {
    let origin = Origin::saying("hello");
    let port = origin.address().port();
    let proxy = configured::forward("", "[forward]\nallow_private_destinations = true\n").start();
    assert_eq!(fetch(&proxy, &format!("127.0.0.1:{port}")).status(), 200);
    assert_eq!(fetch(&proxy, &format!("localhost:{port}")).status(), 200);
    for host in [
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "[::]",
        "[fe80::1]",
        "[ff02::1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
    ] {
        assert_eq!(fetch(&proxy, &format!("{host}:{port}")).status(), 403, "{host}");
    }
}

#[test]
fn guard_waivers_are_by_name_or_network() {
    let origin = Origin::saying("hello");
    let port = origin.address().port();
    let with = |waiver: &str| {
        let rest = format!("[forward]\nallow_destinations = [\"{waiver}\"]\n");
        configured::forward("", &rest).start()
    };
    let by_name = with("localhost");
    assert_eq!(fetch(&by_name, &format!("localhost:{port}")).status(), 200);
    assert_eq!(fetch(&by_name, &format!("127.0.0.1:{port}")).status(), 403);
    let by_network = with("127.0.0.1/32");
    assert_eq!(fetch(&by_network, &format!("127.0.0.1:{port}")).status(), 200);
    assert_eq!(fetch(&by_network, &format!("127.0.0.2:{port}")).status(), 403);
}

#[test]
fn guard_refuses_the_ports_that_browsers_refuse() {
    let proxy = configured::forward("", "[forward]\nallow_private_destinations = true\n").start();
    for port in [1, 22, 25, 110, 143, 465, 587, 993, 6000, 6667] {
        assert_eq!(fetch(&proxy, &format!("127.0.0.1:{port}")).status(), 403, "{port}");
    }
}

#[test]
fn loops_are_508_by_own_name_and_after_20_hops() {
    let origin = Origin::saying("hello");
    let rest = "[server]\nvia_name = \"edge-1\"\n";
    let proxy = configured::gateway(&origin.url(), "", rest).start();
    let ask = |via: &str| {
        let raw = format!("GET / HTTP/1.1\r\nHost: origin.test\r\nVia: {via}\r\n\r\n");
        client::exchange(proxy.address(), "GET", raw)
    };
    for via in ["1.1 edge-1", "1.0 a, 1.1 edge-1 (proxyd), 1.1 b", "HTTP/1.1 EDGE-1"] {
        assert_eq!(ask(via).status(), 508, "{via}");
    }
    assert_eq!(ask(&["1.1 other"; 21].join(", ")).status(), 508);
    assert_eq!(origin.links(), 0);
    assert_eq!(ask("1.1 edge-10").status(), 200);
    assert_eq!(ask(&["1.1 other"; 5].join(", ")).status(), 200);
    let via = origin.last().field("via").map(str::to_owned);
    assert!(via.as_deref().is_some_and(|via| via.ends_with("1.1 edge-1")), "{via:?}");
}

#[test]
fn upgrade_is_stripped_and_websocket_alone_is_501() {
    let origin = Origin::saying("hello");
    let proxy = proxyd::reverse(&origin.url()).start();
    let ask = |to: &str| {
        let raw = format!(
            "GET / HTTP/1.1\r\nHost: origin.test\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n\r\n"
        );
        client::exchange(proxy.address(), "GET", raw)
    };
    assert_eq!(ask("websocket").status(), 501);
    assert_eq!(origin.links(), 0);
    assert_eq!(ask("h2c").status(), 200);
    assert!(origin.last().field("upgrade").is_none());
    assert!(!origin.last().head.fields.lists("connection", "upgrade"));
}

#[test]
fn upgrade_bullet_a_host_that_differs_from_the_target_is_replaced() {
    let origin = Origin::saying("hello");
    let proxy = proxyd::reverse(&origin.url()).start();
    let raw = "GET http://right.test/a HTTP/1.1\r\nHost: wrong.test\r\n\r\n";
    assert_eq!(client::exchange(proxy.address(), "GET", raw).status(), 200);
    let seen = origin.last();
    assert_eq!((seen.head.target.as_str(), seen.field("host")), ("/a", Some("right.test")));
    assert_eq!(seen.field("x-forwarded-host"), Some("right.test"));
}

#[test]
fn redirects_keep_the_rest_and_never_leave_the_host() {
    let origin = Origin::saying("never");
    let routes = "[[routes]]\nname = \"old\"\nmatch = { path_prefixes = [\"/old/\"] }\n\
                  redirect = { to = \"/{rest}\", status = 308 }\n";
    let proxy = configured::gateway_routes(&origin.url(), "", routes).start();
    let answer = get(&proxy, "/old/a/b?c=d");
    assert_eq!(answer.status(), 308);
    assert!(answer.field("location").is_some_and(|to| to.starts_with("/a/b")), "{answer:?}");
    for path in ["/old//evil.test/", "/old///evil.test/", "/old/%2e//evil.test"] {
        let answer = get(&proxy, path);
        let location = answer.field("location").unwrap_or_default();
        assert!(!location.starts_with("//"), "{path}: {location}");
    }
}

#[test]
fn refusals_echo_nothing_and_may_not_be_stored() {
    let origin = Origin::saying("never");
    let keys = "allow_clients = [\"192.0.2.0/24\"]\n";
    let proxy = configured::gateway(&origin.url(), "", keys).start();
    for (accept, kind) in [
        ("text/html", "text/html"),
        ("application/json", "application/problem+json"),
        ("*/*", "application/problem+json"),
    ] {
        let raw = format!(
            "GET /secret HTTP/1.1\r\nHost: origin.test\r\nAccept: {accept}\r\n\
             X-A: <script>secret\r\n\r\n"
        );
        let answer = client::exchange(proxy.address(), "GET", raw);
        assert_eq!(answer.status(), 403);
        assert!(answer.field("content-type").is_some_and(|t| t.starts_with(kind)), "{answer:?}");
        assert!(!answer.text().contains("secret"), "{}", answer.text());
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        let policy = answer.field("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn admin_answers_to_its_own_names_only() {
    let origin = Origin::saying("hello");
    let proxy = proxyd::reverse(&origin.url()).start();
    let admin: SocketAddr = proxy.admin();
    for (host, status) in [("localhost", 200), ("127.0.0.1", 200), ("evil.test", 421)] {
        assert_eq!(client::get(admin, host, "/livez").status(), status, "{host}");
    }
    let raw = "GET /livez HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n";
    assert_eq!(client::exchange(admin, "GET", raw).status(), 403);
    let raw = "GET /livez HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.test\r\n\r\n";
    assert_eq!(client::exchange(admin, "GET", raw).status(), 403);
    assert_eq!(proxy.ask_admin("/readyz").status(), 200);
    let metrics = proxy.ask_admin("/metrics").text();
    assert!(metrics.contains("http_server_"), "{metrics}");
}
