//! What the cache never lets across: routes, roles, access rules, users. INTERFACE, "Cache key".

use std::net::{IpAddr, Ipv4Addr};

use proxyd_tests::client::{self, Answer, Client};
use proxyd_tests::origin::{Origin, response};
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::{configured, wire};

/// An origin whose answers are all different, with these fields.
fn counting(fields: &'static [(&'static str, &'static str)]) -> Origin {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Origin::answering(move |request, _| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let content = format!("{} {number}", request.head.target);
        vec![response("200 OK", fields, content)]
    })
}

const FRESH: &[(&str, &str)] = &[("Cache-Control", "max-age=3600")];
const SHARED: &[(&str, &str)] = &[("Cache-Control", "public, max-age=3600")];

fn ask(proxy: &Proxyd, target: &str, extra: &str) -> Answer {
    let raw = format!("GET {target} HTTP/1.1\r\nHost: cache.test\r\n{extra}\r\n");
    client::exchange(proxy.address(), "GET", raw)
}

fn ask_from(from: [u8; 4], proxy: &Proxyd, target: &str) -> Answer {
    let from = IpAddr::V4(Ipv4Addr::from(from));
    let raw = format!("GET {target} HTTP/1.1\r\nHost: cache.test\r\n\r\n");
    Client::connect_from(from, proxy.address()).ask("GET", raw)
}

#[test]
fn routes_share_nothing() {
    let (one, two) = (counting(FRESH), counting(FRESH));
    let config = format!(
        "[upstreams.two]\nendpoints = [\"{}\"]\n\n\
         [[routes]]\nname = \"canary\"\nmatch = {{ fields = {{ X-Canary = \"yes\" }} }}\n\
         upstream = \"two\"\ncache = true\n\n\
         [[routes]]\nname = \"all\"\nupstream = \"app\"\ncache = true\n",
        two.url()
    );
    let proxy = configured::gateway_routes(&one.url(), "", &config).start();
    for _ in 0..3 {
        assert_eq!(ask(&proxy, "/a", "").text(), "/a 0");
        assert_eq!(ask(&proxy, "/a", "X-Canary: yes\r\n").text(), "/a 0");
    }
    assert_eq!((one.lines().len(), two.lines().len()), (1, 1));
}

#[test]
fn access_rules_hold_for_hits_and_make_exchanges_personal() {
    for (fields, requests) in [(SHARED, 1), (FRESH, 2)] {
        let origin = counting(fields);
        let rest = "cache = true\nallow_clients = [\"127.0.0.1/32\"]\n";
        let proxy = configured::gateway(&origin.url(), "", rest).start();
        assert_eq!(ask(&proxy, "/a", "").status(), 200);
        // Stored or not: who may not have it does not get it.
        let refused = ask_from([127, 0, 0, 2], &proxy, "/a");
        assert_eq!(refused.status(), 403, "{fields:?}");
        assert!(!refused.text().contains("/a 0"));
        assert_eq!(ask(&proxy, "/a", "").status(), 200);
        assert_eq!(origin.lines().len(), requests, "{fields:?}");
    }
}

#[test]
fn a_denied_client_is_refused_what_is_stored() {
    let origin = counting(SHARED);
    let rest = "cache = true\ndeny_clients = [\"127.0.0.2/32\"]\n";
    let proxy = configured::gateway(&origin.url(), "", rest).start();
    assert_eq!(ask(&proxy, "/a", "").text(), "/a 0");
    assert_eq!(ask_from([127, 0, 0, 2], &proxy, "/a").status(), 403);
    assert_eq!(ask_from([127, 0, 0, 3], &proxy, "/a").text(), "/a 0");
    assert_eq!(origin.lines().len(), 1);
}

#[test]
fn the_forward_role_has_a_cache_of_its_own_key() {
    let origin = counting(FRESH);
    let rest = "[forward]\nallow_private_destinations = true\ncache = true\n";
    let proxy = configured::forward("", rest).start();
    let port = origin.address().port();
    let fetch = |host: &str, path: &str| {
        let raw = format!("GET http://{host}:{port}{path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
        client::exchange(proxy.address(), "GET", raw)
    };
    assert_eq!(fetch("127.0.0.1", "/a").text(), "/a 0");
    let hit = fetch("127.0.0.1", "/a");
    assert_eq!((hit.text().as_str(), hit.field("age").is_some()), ("/a 0", true));
    assert!(hit.field("cache-status").is_some_and(|text| text.contains("hit")), "{hit:?}");
    // Another authority is another resource, though it is the same machine.
    assert_eq!(fetch("localhost", "/a").text(), "/a 1");
    assert_eq!(fetch("127.0.0.1", "/a").text(), "/a 0");
    assert_eq!(origin.lines().len(), 2);
}

#[test]
fn the_guard_holds_for_what_is_stored() {
    // A gateway has it in its store; the forward listener of the same process still refuses.
    let origin = counting(SHARED);
    let address = proxyd_tests::ports::free();
    let more = format!(
        "[listeners.out]\naddress = \"{address}\"\nrole = \"forward\"\n\n[forward]\ncache = true\n"
    );
    let rest = format!("cache = true\n\n{more}");
    let proxy = configured::gateway(&origin.url(), "", &rest).start();
    let at = origin.address();
    let raw = format!("GET /a HTTP/1.1\r\nHost: {at}\r\n\r\n");
    assert_eq!(client::exchange(proxy.address(), "GET", raw).status(), 200);
    let raw = format!("GET http://{at}/a HTTP/1.1\r\nHost: {at}\r\n\r\n");
    assert_eq!(client::exchange(address, "GET", raw).status(), 403);
    assert_eq!(origin.lines().len(), 1);
}

/// Users with cookies and credentials, a canary and anonymous ones, in a random order: nobody ever
/// reads what was made for another. (`must-revalidate`, which RFC 9111, section 3.5, takes for leave
/// to share what was made for credentials, is not among the directives.)
#[test]
fn users_never_read_one_another() {
    let origin = Origin::answering(|request, _| {
        let fields = &request.head.fields;
        let name = |text: Option<&str>| text.map_or("nobody", |text| text).to_owned();
        let user = format!("{} {}", name(fields.get("cookie")), name(fields.get("authorization")));
        let kinds = [
            "max-age=3600",
            "private, max-age=3600",
            "no-cache",
            "max-age=3600, immutable",
            "max-age=0",
            "no-store",
        ];
        let number = request.head.target.bytes().map(usize::from).sum::<usize>();
        let control = kinds[number % kinds.len()];
        vec![response("200 OK", &[("Cache-Control", control), ("ETag", "\"a\"")], user)]
    });
    let proxy = configured::gateway(&origin.url(), "", "cache = true\n").start();
    std::thread::scope(|scope| {
        for seed in 1..=4_u64 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut state = seed;
                let mut random = |below: u64| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 33) % below
                };
                let mut connection = Client::connect(proxy.address());
                for _ in 0..1500 {
                    let (cookie, user) = (random(4), random(4));
                    let mut raw = format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n", random(12));
                    let cookie = if cookie == 0 { "nobody".into() } else { format!("u={cookie}") };
                    let user = if user == 0 { "nobody".into() } else { format!("Bearer {user}") };
                    if cookie != "nobody" {
                        raw += &format!("Cookie: {cookie}\r\n");
                    }
                    if user != "nobody" {
                        raw += &format!("Authorization: {user}\r\n");
                    }
                    let answer = connection.ask("GET", raw + "\r\n");
                    let text = wire::latin1(&answer.content);
                    // What was made for nobody may be given to anybody.
                    let fits = text == format!("{cookie} {user}") || text == "nobody nobody";
                    assert!(fits, "{cookie} {user} got what is {text}");
                }
            });
        }
    });
}
