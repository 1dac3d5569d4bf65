//! The recipes of the book: each file is sound, decides as its page says, and the main ones serve.

use std::net::SocketAddr;
use std::path::Path;

use proxyd_tests::client;
use proxyd_tests::origin::Origin;
use proxyd_tests::pages::{self, Fence};
use proxyd_tests::pki::Pki;
use proxyd_tests::ports;
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::waiting;

/// `anna:secret` by bcrypt.
const USERS: &str = "anna:$2y$04$5aEJbT4019DqEQG4/E3pr.nzS/KGtwWnyszFN7cDyA0XpU6Ih/6Yi\n";

/// The files that recipes name.
fn files() -> Pki {
    let pki = Pki::new();
    let pair = pki.leaf(&["example.com", "*.example.com"]);
    let (ca, folder) = (pki.ca(), pki.folder().to_owned());
    let copy = |from: &Path, to: &str| {
        std::fs::copy(from, folder.join(to)).expect("a copy");
    };
    copy(&pair.cert, "edge.pem");
    copy(&pair.key, "edge.key");
    copy(&ca, "clients-ca.pem");
    for (name, text) in [("users.htpasswd", USERS), ("blocked.txt", "ads.test\n")] {
        std::fs::write(folder.join(name), text).expect("a file");
    }
    pki
}

/// The recipes of a page: the heading, the configuration, what is expected of it.
fn recipes(page: &str) -> Vec<(String, String, String)> {
    let fences = pages::fences(&pages::workspace().join("docs/recipes").join(page));
    let one = |heading: &str, info: &str| -> String {
        let is_it = |fence: &&Fence| fence.heading == heading && fence.info == info;
        let mut found = fences.iter().filter(is_it);
        match (found.next(), found.next()) {
            (Some(fence), None) => fence.text.clone(),
            _ => panic!("{page}: {heading}: expected one fence of `{info}`"),
        }
    };
    let mut headings: Vec<&str> = fences.iter().map(|fence| fence.heading.as_str()).collect();
    headings.dedup();
    let recipe =
        |heading: &str| (heading.to_owned(), one(heading, "toml"), one(heading, "toml,tests"));
    headings.into_iter().map(recipe).collect()
}

fn all_hold(page: &str, at_least: usize) {
    let pki = files();
    // The authority of the recipes is one that proxyd has made.
    std::fs::remove_file(pki.folder().join("ca.pem")).expect("the other authority");
    let made = proxyd::run_to_end(pki.folder(), &["ca", "init"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let recipes = recipes(page);
    assert!(recipes.len() >= at_least, "{page} has {} recipes", recipes.len());
    for (heading, config, tests) in recipes {
        for (name, text) in [("proxyd.toml", &config), ("tests.toml", &tests)] {
            std::fs::write(pki.folder().join(name), text).expect("a file");
        }
        let checked = proxyd::run_to_end(pki.folder(), &["check", "--config", "proxyd.toml"]);
        assert_eq!(checked.code, Some(0), "{page}: {heading}: {}", checked.stderr);
        assert!(checked.stdout.contains(" 0 warnings"), "{page}: {heading}: {}", checked.stdout);
        let arguments = ["test", "--config", "proxyd.toml", "tests.toml"];
        let tested = proxyd::run_to_end(pki.folder(), &arguments);
        let told = format!("{}{}", tested.stdout, tested.stderr);
        assert_eq!(tested.code, Some(0), "{page}: {heading}: {told}");
    }
}

#[test]
fn nginx() {
    all_hold("nginx.md", 7);
}

#[test]
fn caddy() {
    all_hold("caddy.md", 4);
}

#[test]
fn haproxy() {
    all_hold("haproxy.md", 5);
}

#[test]
fn squid() {
    all_hold("squid.md", 8);
}

/// Starts a recipe with other addresses in the place of its own: `replaced` are pairs of what is
/// written and what stands for it.
fn start(page: &str, heading: &str, at: SocketAddr, replaced: &[(&str, &str)]) -> Proxyd {
    let all = recipes(page);
    let (_, config, _) = all.iter().find(|(own, ..)| own == heading).expect("the recipe");
    let config = replaced.iter().fold(config.clone(), |config, (from, to)| {
        assert!(config.contains(from), "{heading}: there is no {from}");
        config.replace(from, to)
    });
    proxyd::run(at, &config).start()
}

#[test]
fn a_gateway_of_nginx_serves_and_keeps_its_limit() {
    let origins = [(); 3].map(|()| Origin::saying("hello"));
    let at = ports::free();
    let proxy = start(
        "nginx.md",
        "A gateway in front of two servers",
        at,
        &[
            ("0.0.0.0:80", &at.to_string()),
            ("http://10.0.0.11:3000", &origins[0].url()),
            ("http://10.0.0.12:3000", &origins[1].url()),
            ("http://10.0.0.13:3000", &origins[2].url()),
        ],
    );
    for _ in 0..6 {
        assert_eq!(client::get(proxy.address(), "www.example.com", "/").text(), "hello");
    }
    let shares = origins.each_ref().map(|origin| origin.requests().len());
    assert_eq!(shares, [4, 2, 0], "by weight, and nothing to the backup");
    let fields = origins[0].last().head.fields;
    assert_eq!(fields.all("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(fields.all("host"), ["www.example.com"]);
    let upload = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10485761\r\n\r\n";
    assert_eq!(client::exchange(at, "POST", upload).status(), 413);
}

#[test]
fn locations_of_nginx_lead_where_they_did() {
    let (app, api) = (Origin::saying("app"), Origin::saying("api"));
    let at = ports::free();
    let proxy = start(
        "nginx.md",
        "Locations",
        at,
        &[
            ("0.0.0.0:80", &at.to_string()),
            ("http://127.0.0.1:3000", &app.url()),
            ("http://127.0.0.1:4000", &api.url()),
        ],
    );
    let get = |path: &str| client::get(proxy.address(), "example.com", path);
    assert_eq!(get("/health").text(), "ok\n");
    assert_eq!(get("/old/a").field("location"), Some("/new/a"));
    assert_eq!(get("/api/users").text(), "api");
    assert_eq!(api.lines(), ["GET /v2/users"]);
    assert_eq!(get("/admin/").status(), 403);
    assert_eq!(get("/x.php").status(), 404);
    assert_eq!(get("/").field("x-frame-options"), Some("DENY"));
    assert_eq!(app.links(), 1);
}

#[test]
fn a_cache_of_nginx_stores() {
    let origin = Origin::saying("hello");
    let at = ports::free();
    let proxy = start(
        "nginx.md",
        "A cache",
        at,
        &[
            ("0.0.0.0:80", &at.to_string()),
            ("http://127.0.0.1:3000", &origin.url()),
            ("10GiB", "16MiB"),
            ("512MiB", "32MiB"),
        ],
    );
    // The first request only counts; what the second fetches is stored, once it is complete.
    assert_eq!(client::get(proxy.address(), "www.example.com", "/").text(), "hello");
    waiting::until("a hit", || {
        let answer = client::get(proxy.address(), "www.example.com", "/");
        answer.field("cache-status").is_some_and(|status| status.contains("; hit")).then_some(())
    });
    assert!(origin.requests().len() >= 2);
}

#[test]
fn a_rate_by_stick_table_is_a_rate() {
    let origin = Origin::saying("hello");
    let at = ports::free();
    let proxy = start(
        "haproxy.md",
        "Rates by stick table",
        at,
        &[
            ("0.0.0.0:80", &at.to_string()),
            ("http://10.0.0.11:3000", &origin.url()),
            ("10/s", "1/min"),
            ("burst = 100", "burst = 3"),
        ],
    );
    let statuses: Vec<u16> =
        (0..4).map(|_| client::get(proxy.address(), "a.test", "/").status()).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[test]
fn a_cookie_of_haproxy_brings_a_client_back() {
    let (first, second) = (Origin::saying("1"), Origin::saying("2"));
    let at = ports::free();
    let proxy = start(
        "haproxy.md",
        "Stickiness",
        at,
        &[
            ("0.0.0.0:80", &at.to_string()),
            ("http://10.0.0.11:3000", &first.url()),
            ("http://10.0.0.12:3000", &second.url()),
        ],
    );
    let answer = client::get(proxy.address(), "a.test", "/");
    let cookie = answer.field("set-cookie").expect("a cookie").split(';').next().expect("a pair");
    assert!(cookie.starts_with("SERVERID="), "{cookie}");
    for _ in 0..4 {
        let raw = format!("GET / HTTP/1.1\r\nHost: a.test\r\nCookie: {cookie}\r\n\r\n");
        assert_eq!(client::exchange(at, "GET", raw).text(), answer.text());
    }
}

#[test]
fn a_squid_with_blocked_names_refuses_them_and_serves_the_rest() {
    let origin = Origin::saying("hello");
    let at = ports::free();
    let pki = files();
    let list = pki.folder().join("blocked.txt").display().to_string();
    let proxy = start(
        "squid.md",
        "Blocked names",
        at,
        &[("127.0.0.1:3128", &at.to_string()), ("blocked.txt", &list)],
    );
    let get = |host: &str| {
        let raw = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        client::exchange(proxy.address(), "GET", raw)
    };
    let refused = get("cdn.ads.test");
    assert_eq!(refused.status(), 403);
    assert!(refused.text().contains("block_domains"), "{}", refused.text());
    // A private destination is none of a proxy that was not told so.
    let refused = get(&origin.address().to_string());
    assert_eq!(refused.status(), 403);
    assert!(refused.text().contains("guard:loopback"), "{}", refused.text());
    assert_eq!(origin.links(), 0);
}
