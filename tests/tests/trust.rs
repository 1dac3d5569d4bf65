//! "Trust": one source of the client's address, and every other claim of an untrusted peer is
//! gone before the origin sees the request.

use proxyd_tests::client::{self, Answer, Client, NoAnswer};
use proxyd_tests::origin::Origin;
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::wire::latin1;
use proxyd_tests::{configured, ports};

/// Fields by which a peer claims to speak for somebody, with a value that is wrong for all of us.
const CLAIMS: [(&str, &str); 15] = [
    ("Forwarded", "for=203.0.113.77;host=spoof.test;proto=https"),
    ("X-Forwarded-For", "203.0.113.77"),
    ("X-Forwarded-Host", "spoof.test"),
    ("X-Forwarded-Proto", "spoof-proto"),
    ("X-Forwarded-Port", "spoof:47777"),
    ("X-Forwarded-Server", "spoof.test"),
    ("X-Forwarded-Prefix", "/spoof"),
    ("X-Real-IP", "203.0.113.77"),
    ("True-Client-IP", "203.0.113.77"),
    ("X-Original-URL", "/spoof"),
    ("X-Rewrite-URL", "/spoof"),
    ("Client-Cert", ":c3Bvb2Y=:"),
    ("Client-Cert-Chain", ":c3Bvb2Y=:"),
    ("X-Forwarded-Client-Cert", "Subject=\"CN=spoof\""),
    ("Proxy", "http://spoof.test"),
];

const TRUSTING: &str = "trusted_proxies = [\"127.0.0.0/8\"]";

/// The spellings of a name that servers behind a CGI-like interface take for the same one.
fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned(), name.to_ascii_lowercase()];
    if name.contains('-') {
        all.push(name.replace('-', "_"));
        all.push(name.replacen('-', "_", 1));
        all.push(name.replace('-', "_").to_ascii_uppercase());
    }
    all
}

fn ask(proxy: &Proxyd, fields: &str) -> Answer {
    let raw = format!("GET /a HTTP/1.1\r\nHost: origin.test\r\n{fields}\r\n");
    client::exchange(proxy.address(), "GET", raw)
}

#[test]
fn trust_claims_of_an_untrusted_peer_never_reach_the_origin() {
    let origin = Origin::saying("hello");
    for keys in ["", "trusted_proxies = [\"192.0.2.0/24\"]"] {
        let proxy = configured::gateway(&origin.url(), keys, "").start();
        for (name, value) in CLAIMS {
            for spelling in spellings(name) {
                for fields in [
                    format!("{spelling}: {value}\r\n"),
                    format!("{spelling}: {value}\r\n{spelling}: {value}\r\n"),
                ] {
                    let mark = origin.mark();
                    assert_eq!(ask(&proxy, &fields).status(), 200, "{fields}");
                    let seen = origin.since(&mark);
                    let bytes = latin1(&seen[0].bytes).to_ascii_lowercase();
                    for lie in ["spoof", "203.0.113.77", "c3bvb2y"] {
                        assert!(!bytes.contains(lie), "{fields} became {bytes}");
                    }
                    let request = &seen[0].requests[0];
                    assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"), "{bytes}");
                    assert_eq!(request.field("host"), Some("origin.test"), "{bytes}");
                }
            }
        }
    }
}

#[test]
fn trust_the_client_address_comes_from_the_one_named_field() {
    let origin = Origin::saying("hello");
    let access = "allow_clients = [\"203.0.113.0/24\"]\n";
    let with = |keys: &str| configured::gateway(&origin.url(), keys, access).start();
    let usual = with(TRUSTING);
    let forwarded = with(&format!("{TRUSTING}\nclient_address_from = \"forwarded\""));
    let real_ip = with(&format!("{TRUSTING}\nclient_address_from = \"x-real-ip\""));
    let nobody = with("");
    for (fields, allowed) in [
        // X-Forwarded-For, the default: the last address that is no trusted proxy's own.
        ("X-Forwarded-For: 203.0.113.77\r\n", [true, false, false, false]),
        ("X-Forwarded-For: 198.51.100.1, 203.0.113.77\r\n", [true, false, false, false]),
        ("X-Forwarded-For: 203.0.113.77, 198.51.100.1\r\n", [false, false, false, false]),
        ("X-Forwarded-For: 203.0.113.77, 127.0.0.5\r\n", [true, false, false, false]),
        (
            "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.77\r\n",
            [true, false, false, false],
        ),
        ("X_Forwarded_For: 203.0.113.77\r\n", [false, false, false, false]),
        // The others, where they are named.
        ("Forwarded: for=203.0.113.77\r\n", [false, true, false, false]),
        ("Forwarded: for=198.51.100.1, for=\"203.0.113.77:1234\"\r\n", [false, true, false, false]),
        ("X-Real-IP: 203.0.113.77\r\n", [false, false, true, false]),
        ("True-Client-IP: 203.0.113.77\r\n", [false, false, false, false]),
        // Nothing, or nonsense, gives nobody an address that is allowed.
        ("", [false, false, false, false]),
        ("X-Forwarded-For: nonsense\r\n", [false, false, false, false]),
        ("X-Forwarded-For: 203.0.113.77, nonsense\r\n", [false, false, false, false]),
    ] {
        for (proxy, allowed) in [&usual, &forwarded, &real_ip, &nobody].into_iter().zip(allowed) {
            let status = ask(proxy, fields).status();
            assert_eq!(status == 200, allowed, "{fields:?}: {status}");
            assert!(allowed || [400, 403].contains(&status), "{fields:?}: {status}");
        }
    }
}

#[test]
fn trust_the_origin_learns_the_address_that_a_trusted_peer_named() {
    let origin = Origin::saying("hello");
    let proxy = configured::gateway(&origin.url(), TRUSTING, "").start();
    assert_eq!(ask(&proxy, "X-Forwarded-For: 203.0.113.77\r\n").status(), 200);
    let seen = origin.last();
    let chain = seen.field("x-forwarded-for").unwrap_or_default();
    assert!(chain.starts_with("203.0.113.77"), "{chain}");
    let forwarded = seen.head.fields.all("forwarded").join(", ");
    assert!(forwarded.contains("203.0.113.77"), "{forwarded}");
    // Fields that run as code elsewhere go whoever sends them.
    assert_eq!(ask(&proxy, "Proxy: http://spoof.test\r\n").status(), 200);
    assert!(origin.last().field("proxy").is_none());
}

#[test]
fn trust_the_address_is_judged_again_by_the_listener() {
    let origin = Origin::saying("hello");
    let keys = format!("{TRUSTING}\ndeny_clients = [\"203.0.113.0/24\"]");
    let proxy = configured::gateway(&origin.url(), &keys, "").start();
    assert_eq!(ask(&proxy, "X-Forwarded-For: 198.51.100.1\r\n").status(), 200);
    assert_eq!(ask(&proxy, "X-Forwarded-For: 203.0.113.77\r\n").status(), 403);
    // The trusted proxy's own address is not judged when it connects.
    let keys = format!("{TRUSTING}\nallow_clients = [\"203.0.113.0/24\"]");
    let proxy = configured::gateway(&origin.url(), &keys, "").start();
    assert_eq!(ask(&proxy, "X-Forwarded-For: 203.0.113.77\r\n").status(), 200);
    assert_eq!(ask(&proxy, "X-Forwarded-For: 198.51.100.1\r\n").status(), 403);
}

#[test]
fn trust_a_request_id_is_taken_from_trusted_peers_and_only_if_it_is_sound() {
    let origin = Origin::saying("hello");
    let trusting = configured::gateway(&origin.url(), TRUSTING, "").start();
    let wary = configured::gateway(&origin.url(), "", "").start();
    let long = "a".repeat(129);
    for (id, kept) in [
        ("abc-DEF_1.2", true),
        ("a b", false),
        ("a,b", false),
        ("a\"b", false),
        ("a/b", false),
        (long.as_str(), false),
    ] {
        for (proxy, kept) in [(&trusting, kept), (&wary, false)] {
            assert_eq!(ask(proxy, &format!("X-Request-Id: {id}\r\n")).status(), 200);
            let seen = origin.last().field("x-request-id").map(str::to_owned);
            let seen = seen.expect("exactly one request id");
            assert_eq!(seen == id, kept, "{id}: {seen}");
        }
    }
}

#[test]
fn trust_proxy_protocol_needs_trusted_proxies() {
    let scratch = Scratch::new("proxy-protocol");
    let config = format!(
        "[listeners.web]\naddress = \"{}\"\nrole = \"gateway\"\nproxy_protocol = true\n\
         [[routes]]\nname = \"all\"\nrespond = {{ status = 200 }}\n",
        ports::free()
    );
    scratch.write("proxyd.toml", config);
    let checked = proxyd::run_to_end(scratch.path(), &["check", "--config", "proxyd.toml"]);
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.stderr.contains("trusted_proxies"), "{checked:?}");
}

#[test]
fn trust_proxy_protocol_is_mandatory_for_trusted_peers_and_others_are_closed() {
    const GET: &str = "GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n";
    const LINE: &str = "PROXY TCP4 203.0.113.77 192.0.2.1 1234 80\r\n";
    let origin = Origin::saying("hello");
    let with = |trusted: &str| {
        let keys = format!("proxy_protocol = true\ntrusted_proxies = [\"{trusted}\"]");
        configured::gateway(&origin.url(), &keys, "").start()
    };
    let proxy = with("127.0.0.0/8");
    let answer = client::exchange(proxy.address(), "GET", format!("{LINE}{GET}"));
    assert_eq!(answer.status(), 200);
    assert_eq!(origin.last().field("x-forwarded-for"), Some("203.0.113.77"));

    let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    second.extend([203, 0, 113, 78, 192, 0, 2, 1, 4, 210, 0, 80]);
    second.extend(GET.as_bytes());
    assert_eq!(client::exchange(proxy.address(), "GET", second).status(), 200);
    assert_eq!(origin.last().field("x-forwarded-for"), Some("203.0.113.78"));

    let refused = |proxy: &Proxyd, raw: String| {
        let mut client = Client::connect(proxy.address());
        client.send(raw);
        // Closed without a word, or with 400, but never served.
        match client.answer("GET") {
            Ok(answer) => assert_eq!(answer.status(), 400),
            Err(why) => assert_eq!(why, NoAnswer::Closed),
        }
    };
    let before = origin.lines().len();
    refused(&proxy, GET.to_owned());
    refused(&proxy, format!("PROXY TCP4 nonsense\r\n{GET}"));
    let wary = with("192.0.2.0/24");
    refused(&wary, format!("{LINE}{GET}"));
    refused(&wary, GET.to_owned());
    assert_eq!(origin.lines().len(), before);
}

#[test]
fn trust_a_forward_proxy_adds_nothing_about_its_client() {
    let origin = Origin::saying("hello");
    let proxy = configured::forward("", "[forward]\nallow_private_destinations = true\n").start();
    let at = origin.address();
    let raw = format!(
        "GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\nX-Forwarded-For: 203.0.113.77\r\n\
         Proxy-Authorization: Basic eDp5\r\n\r\n"
    );
    assert_eq!(client::exchange(proxy.address(), "GET", raw).status(), 200);
    let seen = origin.last();
    for (name, _) in &seen.head.fields.0 {
        let name = name.to_ascii_lowercase();
        let tells = name.starts_with("x-forwarded") || name == "forwarded";
        let adds = name == "x-request-id" || name == "traceparent";
        assert!(!tells && !adds && name != "proxy-authorization", "{seen:?}");
    }
    assert!(seen.head.fields.has("via"));
}

#[test]
fn trust_an_unreadable_chain_makes_nobody_one_of_us() {
    let origin = Origin::saying("hello");
    let routes = "[[routes]]\nname = \"ops\"\nupstream = \"app\"\n\
                  allow_clients = [\"127.0.0.0/8\"]\n";
    let proxy = configured::gateway_routes(&origin.url(), TRUSTING, routes).start();
    for (chain, status) in [
        (&b"127.0.0.9"[..], 200),
        (b"203.0.113.9", 403),
        (b"\xff, 203.0.113.9", 403),
        (b"127.0.0.9, \xff", 403),
        (b"junk", 403),
        (b"127.0.0.9, junk", 403),
    ] {
        let mut raw = b"GET /a HTTP/1.1\r\nHost: origin.test\r\nX-Forwarded-For: ".to_vec();
        raw.extend_from_slice(chain);
        raw.extend_from_slice(b"\r\n\r\n");
        let answer = client::exchange(proxy.address(), "GET", raw);
        assert_eq!(answer.status(), status, "{}", latin1(chain));
    }
}

#[test]
fn trust_who_is_trusted_is_told_where_the_time_went() {
    let origin = Origin::saying("hello");
    let other = "X-Forwarded-For: 192.0.2.7\r\n";
    for (keys, rest, fields, told) in [
        (TRUSTING, "cache = true\n", "", true),
        (TRUSTING, "cache = true\n", other, false),
        ("", "cache = true\n", "", false),
        (TRUSTING, "cache = true\n[server]\nserver_timing = false\n", "", false),
    ] {
        let proxy = configured::gateway(&origin.url(), keys, rest).start();
        let answer = ask(&proxy, fields);
        assert_eq!(answer.field("server-timing").is_some(), told, "{keys} {rest}");
        let Some(value) = answer.field("server-timing") else { continue };
        let metrics: Vec<&str> = value.split(", ").collect();
        let names: Vec<&str> = metrics.iter().filter_map(|own| own.split(';').next()).collect();
        assert_eq!(names, ["proxy", "cache", "dns", "connect", "upstream"], "{value}");
        let millis = |at: usize| -> f64 {
            let (_, number) = metrics[at].split_once(";dur=").expect("a duration");
            number.parse().expect("a number")
        };
        assert!(millis(0) >= millis(4), "{value}");
    }
}
