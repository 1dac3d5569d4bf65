//! No output shows more of a client's address than `[privacy]` allows: every feature is driven
//! from marked addresses, and everything that comes out is searched for them in every spelling.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use proxyd_tests::client::Client;
use proxyd_tests::h2_client::H2Client;
use proxyd_tests::origin::Origin;
use proxyd_tests::proxyd::{self, Proxyd, run_to_end};
use proxyd_tests::wire::latin1;
use proxyd_tests::{ports, waiting};

/// The address that clients connect from.
const PEER: Ipv4Addr = Ipv4Addr::new(127, 77, 66, 55);
/// The one that trusted proxies speak of.
const VOUCHED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 177);

/// The marked addresses in every spelling that a program might write.
fn spellings() -> Vec<String> {
    let mut all = vec!["2001:db8:77:66::55".to_owned(), "2001:0db8:0077:0066".to_owned()];
    for address in [PEER, VOUCHED] {
        let [a, b, c, d] = address.octets();
        let number = u32::from(address);
        all.extend([
            address.to_string(),
            format!("{a}-{b}-{c}-{d}"),
            format!("{d}.{c}.{b}.{a}"),
            format!("{number:08x}"),
            format!("{:04x}:{:04x}", number >> 16, number & 0xffff),
            format!("{number}"),
            format!("{a:03}.{b:03}.{c:03}.{d:03}"),
            format!("{a}, {b}, {c}, {d}"),
        ]);
    }
    all
}

struct Stage {
    proxy: Proxyd,
    origin: Origin,
    web: SocketAddr,
    trusting: SocketAddr,
    behind: SocketAddr,
    out: SocketAddr,
    /// What clients were answered, and what commands printed.
    shown: String,
}

impl Stage {
    fn new(privacy: &str) -> Self {
        let origin = Origin::saying("hello");
        let [web, trusting, behind, out, admin] = std::array::from_fn(|_| ports::free());
        let port = origin.address().port();
        let config = format!(
            r#"
[admin]
address = "{admin}"
[listeners.web]
address = "{web}"
role = "gateway"
protocols = ["h1", "h2"]
[listeners.trusting]
address = "{trusting}"
role = "gateway"
trusted_proxies = ["127.0.0.1"]
[listeners.behind]
address = "{behind}"
role = "gateway"
proxy_protocol = true
trusted_proxies = ["127.0.0.1"]
[listeners.out]
address = "{out}"
role = "forward"
allow_clients = ["127.0.0.0/8"]
[forward]
allow_private_destinations = true
connect_ports = [{port}]
http_ports = [{port}]
forwarded = true
[upstreams.app]
endpoints = ["{url}"]
[upstreams.down]
endpoints = ["http://127.0.0.1:9"]
[[routes]]
name = "staff"
match = {{ path_prefixes = ["/staff"] }}
upstream = "app"
allow_clients = ["192.0.2.0/24"]
[[routes]]
name = "kept"
match = {{ path_prefixes = ["/kept"] }}
upstream = "app"
cache = {{ default_ttl = {{ "200" = "1m" }} }}
[[routes]]
name = "limited"
match = {{ path_prefixes = ["/limited"] }}
upstream = "app"
limits = {{ rate = ["one"] }}
[[routes]]
name = "down"
match = {{ path_prefixes = ["/down"] }}
upstream = "down"
[[routes]]
name = "all"
match = {{ path_prefixes = ["/all"] }}
upstream = "app"
request_fields = {{ set = {{ "X-Client" = "{{client}}" }} }}
response_fields = {{ set = {{ "X-You" = "{{client}}" }} }}
[[filter.rate_limits]]
id = "one"
rate = "1/h"
burst = 1
[log.access]
path = "access.log"
[log.audit]
path = "audit.jsonl"
heads = ["heads"]
{privacy}
"#,
            url = origin.url(),
        );
        let proxy = proxyd::run(web, &config).admin(admin).env("PROXYD_LOG", "trace");
        let proxy = proxy.env("RUNTIME_DIRECTORY", ".").start();
        Self { proxy, origin, web, trusting, behind, out, shown: String::new() }
    }

    /// Sends raw bytes from the marked address, and keeps the answer.
    fn ask(&mut self, from: IpAddr, to: SocketAddr, method: &str, raw: &str) -> Client {
        let mut client = Client::connect_from(from, to);
        assert!(client.send(raw), "sent");
        let _ = writeln!(self.shown, "{:?}", client.answer(method));
        client
    }

    fn explain(&mut self, arguments: &[&str]) {
        let admin = self.proxy.admin();
        let (address, token) = (admin.to_string(), format!("admin-{}.token", admin.port()));
        let all = [&["explain", "--admin", &address, "--token-file", &token], arguments].concat();
        let outcome = run_to_end(self.proxy.folder(), &all);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let _ = writeln!(self.shown, "{}{}", outcome.stdout, outcome.stderr);
    }

    /// Every feature, from the marked addresses.
    fn drive(&mut self) {
        let (peer, local) = (IpAddr::V4(PEER), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let (web, out) = (self.web, self.out);
        let get = |path: &str, more: &str| {
            format!("GET {path} HTTP/1.1\r\nHost: origin.test\r\n{more}\r\n")
        };
        let vouched = format!("X-Forwarded-For: {VOUCHED}\r\n");
        let vouched_v6 = "X-Forwarded-For: 2001:db8:77:66::55\r\n".to_owned();
        for path in
            ["/all", "/staff", "/nowhere", "/kept", "/kept", "/limited", "/limited", "/down"]
        {
            self.ask(peer, web, "GET", &get(path, ""));
            for more in [&vouched, &vouched_v6] {
                self.ask(local, self.trusting, "GET", &get(path, more));
            }
            let line = format!("PROXY TCP4 {VOUCHED} 192.0.2.1 1234 80\r\n");
            self.ask(local, self.behind, "GET", &(line + &get(path, "")));
        }
        // Heads that no layer sees, and connections that none does.
        self.ask(peer, web, "GET", "GET / HTTP/1.1\r\nno colon\r\n\r\n");
        self.ask(peer, web, "GET", "GET / HTTP/3.7\r\n\r\n");
        self.ask(peer, self.behind, "GET", &get("/all", ""));
        self.ask(local, self.behind, "GET", &get("/all", ""));
        // The forward role, tunnels.
        let at = self.origin.address();
        let absolute = format!("GET {}/all HTTP/1.1\r\nHost: {at}\r\n\r\n", self.origin.url());
        self.ask(peer, out, "GET", &absolute);
        self.ask(peer, out, "GET", &get("/all", ""));
        self.ask(peer, out, "CONNECT", "CONNECT 127.0.0.1:25 HTTP/1.1\r\nHost: x:25\r\n\r\n");
        let connect = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
        let mut tunnel = self.ask(peer, out, "CONNECT", &connect);
        assert!(tunnel.send(get("/in-the-tunnel", "")));
        let _ = writeln!(self.shown, "{:?}", tunnel.answer("GET"));
        drop(tunnel);
        // HTTP/2.
        let mut h2 = H2Client::connect_from(peer, web);
        for path in ["/all", "/staff", "/nowhere"] {
            let _ = writeln!(self.shown, "{:?}", h2.get(path));
        }
        drop(h2);
        // What operators ask.
        let marked = VOUCHED.to_string();
        for path in ["/all", "/staff", "/kept"] {
            let url = format!("http://origin.test{path}");
            self.explain(&["GET", &url, "--listener", "trusting", "--from", &marked]);
            let own = PEER.to_string();
            self.explain(&["GET", &url, "--listener", "web", "--peer", &own, "--json"]);
        }
        for path in ["/metrics", "/config", "/upstreams", "/cache", "/connections", "/readyz"] {
            let _ = writeln!(self.shown, "{:?}", self.proxy.ask_admin(path));
        }
    }

    /// Ends it, and gives everything that came out, by its name.
    fn outputs(mut self) -> Vec<(String, String)> {
        self.proxy.sigterm();
        assert!(self.proxy.wait_exit().success());
        let mut all: Vec<(String, String)> = ["access.log", "audit.jsonl", "heads"]
            .iter()
            .map(|name| {
                let text = fs::read_to_string(self.proxy.folder().join(name));
                ((*name).to_owned(), text.unwrap_or_else(|error| panic!("{name}: {error}")))
            })
            .collect();
        all.push(("stderr".to_owned(), self.proxy.stderr()));
        all.push(("stdout".to_owned(), self.proxy.stdout()));
        let received = (0..self.origin.links()).map(|link| latin1(&self.origin.bytes(link)));
        all.push(("what the origin received".to_owned(), received.collect()));
        all.push(("answers".to_owned(), self.shown));
        all
    }
}

fn driven(privacy: &str) -> Vec<(String, String)> {
    let mut stage = Stage::new(privacy);
    stage.drive();
    // The tunnel's end is in the log before anything is judged.
    let log = stage.proxy.folder().join("audit.jsonl");
    waiting::until("the tunnel's record", || {
        fs::read_to_string(&log).ok()?.contains("\"event\":\"tunnel_closed\"").then_some(())
    });
    stage.outputs()
}

fn leaks(outputs: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in outputs {
        let text = text.to_ascii_lowercase();
        for spelling in spellings() {
            if let Some(at) = text.find(&spelling) {
                let from = text[..at].rfind('\n').map_or(0, |at| at + 1);
                let line: String = text[from..].chars().take(600).collect();
                found.push(format!("{name}: {spelling}: {line}"));
            }
        }
    }
    found
}

#[test]
fn privacy_the_search_finds_what_is_shown() {
    let outputs = driven("");
    let found = leaks(&outputs);
    for place in ["access.log", "audit.jsonl", "what the origin received", "answers"] {
        for address in [PEER, VOUCHED] {
            let wanted = format!("{place}: {address}");
            assert!(found.iter().any(|leak| leak.starts_with(&wanted)), "{wanted}: {found:#?}");
        }
    }
    // Nothing else has a reason to, whatever is allowed.
    let elsewhere: Vec<_> = found
        .iter()
        .filter(|leak| ["heads", "stderr", "stdout"].iter().any(|name| leak.starts_with(name)))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

#[test]
fn privacy_no_output_shows_an_address_that_is_not_to_be_shown() {
    for mode in ["truncate", "pseudonym", "drop"] {
        let outputs = driven(&format!("[privacy]\nclient_address = \"{mode}\"\n"));
        let found = leaks(&outputs);
        assert!(found.is_empty(), "{mode}: {found:#?}");
        let of = |name: &str| &outputs.iter().find(|(own, _)| own == name).expect("it is there").1;
        let (log, origin) = (of("access.log"), of("what the origin received"));
        match mode {
            "truncate" => {
                assert!(log.contains("\"client\":\"127.77.66.0\""), "{log}");
                assert!(log.contains("\"client\":\"2001:db8:77::\""), "{log}");
                assert!(origin.contains("203.0.113.0"), "{origin}");
            }
            "pseudonym" => {
                assert!(log.contains("\"client\":\"_"), "{log}");
                assert!(origin.contains("orwarded: for=_"), "{origin}");
                assert!(origin.to_lowercase().contains("x-client: _"), "{origin}");
            }
            _ => {
                assert!(log.contains("\"client\":\"-\""), "{log}");
                assert!(!origin.to_lowercase().contains("x-forwarded-for"), "{origin}");
            }
        }
    }
}

#[test]
fn privacy_a_sink_may_differ() {
    let outputs =
        driven("[privacy]\nclient_address = \"drop\"\n[privacy.sinks]\nforwarded = \"full\"\n");
    for leak in leaks(&outputs) {
        let allowed = ["what the origin received", "answers"];
        assert!(allowed.iter().any(|name| leak.starts_with(name)), "{leak}");
    }
    let origin = &outputs.iter().find(|(name, _)| name.starts_with("what")).expect("one").1;
    assert!(origin.contains(&PEER.to_string()), "{origin}");
}

/// Whoever shows an address takes the form from the configuration: no code but that which reads
/// the configuration may say that it is to be shown in full.
#[test]
fn privacy_no_code_shows_an_address_by_itself() {
    const MAY: [&str; 2] =
        ["proxy-bin/src/config/resolve/privacy.rs", "proxy-bin/src/explain/fields.rs"];
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut found = Vec::new();
    let mut folders = vec![crates.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = path.strip_prefix(&crates).expect("below it").display().to_string();
            if path.is_dir() {
                // The trust layer itself, and what is for tests.
                let own = name.starts_with("proxy-core") || name.starts_with("proxy-testkit");
                if !own && !name.ends_with("/tests") {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") && !MAY.contains(&name.as_str()) {
                let text = fs::read_to_string(&path).expect("a source");
                let says = |line: &&str| {
                    line.contains("AddressPrivacy::Full") && !line.trim_start().starts_with("//")
                };
                found.extend(text.lines().filter(says).map(|line| format!("{name}: {line}")));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
