//! Every field that `docs/logs.md` lists for the JSON format is caused here, and no other is seen.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use proxyd_tests::client::{self, Client};
use proxyd_tests::origin::{Act, Origin, ok, response};
use proxyd_tests::pki::{Pair, Pki};
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::{ports, waiting};
use serde_json::Value;

/// Of `anna`, whose password is `secret`.
const ANNA: &str = "Authorization: Basic YW5uYTpzZWNyZXQ=\r\n";
const USERS: &str = "anna:$2y$04$5aEJbT4019DqEQG4/E3pr.nzS/KGtwWnyszFN7cDyA0XpU6Ih/6Yi\n";
const TRACED: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";

/// The fields of the table in the documentation, those of objects behind a dot.
fn documented() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/logs.md");
    let text = fs::read_to_string(path).expect("docs/logs.md");
    let section = text.split("## The JSON format").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its end");
    let quoted = |cell: &str| -> Vec<String> {
        let words = cell.split('`').skip(1).step_by(2);
        let is_name = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        words.filter(is_name).map(str::to_owned).collect()
    };
    let mut fields = BTreeSet::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').collect();
        for name in quoted(cells[1]) {
            if ["tls", "upstream", "exec"].contains(&name.as_str()) {
                fields.extend(quoted(cells[2]).iter().map(|inner| format!("{name}.{inner}")));
            }
            fields.insert(name);
        }
    }
    fields
}

/// The fields of a line in the same way.
fn fields(line: &Value, found: &mut BTreeSet<String>) {
    for (name, value) in line.as_object().expect("an object") {
        found.insert(name.clone());
        if let Value::Object(inner) = value {
            found.extend(inner.keys().map(|inner| format!("{name}.{inner}")));
        }
    }
}

/// An origin server with TLS: another proxy.
fn secure_origin(pair: &Pair) -> (Proxyd, SocketAddr) {
    let address = ports::free();
    let config = format!(
        "[listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\
         [listeners.web.tls]\ncertificates = [{}]\n\
         [[routes]]\nname = \"all\"\nrespond = {{ status = 200, body = \"secure\" }}\n",
        pair.table()
    );
    (proxyd::run(address, &config).start(), address)
}

struct Places {
    web: SocketAddr,
    safe: SocketAddr,
    again: SocketAddr,
    out: SocketAddr,
    admin: SocketAddr,
}

fn configuration(origin: &Origin, secure: SocketAddr, pki: &Pki, at: &Places) -> String {
    let pair = pki.leaf(&["a.test"]);
    let folder = pki.folder().display();
    let refusing = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it");
    format!(
        r#"
[admin]
address = "{admin}"
[log.access]
path = "access.log"
users = true
slow_threshold = "40ms"
[log.more.sampled]
path = "sampled.log"
every_route = true
sample = "99%"
[listeners.web]
address = "{web}"
role = "gateway"
credentials = {{ file = "{folder}/users.htpasswd" }}
[listeners.safe]
address = "{safe}"
role = "gateway"
[listeners.safe.tls]
certificates = [{pair}]
client_certificates = {{ ca = "{ca}", mode = "optional" }}
[listeners.again]
address = "{again}"
role = "gateway"
[listeners.again.tls]
certificates = [{pair}]
[listeners.out]
address = "{out}"
role = "forward"
[forward]
allow_private_destinations = true
connect_ports = [{port}]
[upstreams.app]
endpoints = ["{origin}"]
[upstreams.gone]
endpoints = ["http://{refusing}"]
[upstreams.unsteady]
endpoints = ["http://{refusing}", "{origin}"]
outlier = {{ consecutive_failures = 0 }}
[upstreams.secure]
endpoints = ["https://{secure}"]
host = "b.test"
tls = {{ ca = "{ca}", server_name = "b.test" }}
[[filter.rules]]
id = "no-secrets"
match = {{ path_prefixes = ["/secret"] }}
action = "deny"
[[filter.rules]]
id = "watched"
match = {{ path_prefixes = ["/watched"] }}
action = "deny"
mode = "report"
[[routes]]
name = "unsteady"
match = {{ paths = ["/unsteady"] }}
upstream = "unsteady"
[[routes]]
name = "gone"
match = {{ paths = ["/gone"] }}
upstream = "gone"
[[routes]]
name = "secure"
match = {{ paths = ["/secure"] }}
upstream = "secure"
[[routes]]
name = "killed"
match = {{ paths = ["/killed"] }}
exec = {{ program = "/bin/sh", args = ["-c", "kill -9 $$"] }}
[[routes]]
name = "program"
match = {{ paths = ["/program"] }}
exec = {{ program = "/bin/echo", args = ["hello"] }}
[[routes]]
name = "known"
match = {{ paths = ["/known"] }}
upstream = "app"
listeners = ["web"]
users = ["*"]
[[routes]]
name = "all"
upstream = "app"
cache = true
compress = true
"#,
        admin = at.admin,
        web = at.web,
        safe = at.safe,
        again = at.again,
        out = at.out,
        pair = pair.table(),
        ca = pki.ca().display(),
        port = origin.address().port(),
        origin = origin.url(),
    )
}

fn origin() -> Origin {
    Origin::answering(|request, _| {
        let fields = [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")];
        match request.head.target.as_str() {
            "/slow" => [vec![Act::Pause(Duration::from_millis(50))], ok("late")].concat(),
            "/text" => vec![response("200 OK", &fields, "well compressed ".repeat(200))],
            _ => ok("hello"),
        }
    })
}

#[test]
fn every_documented_field_is_caused_and_no_other_is_there() {
    let (pki, origin) = (Pki::new(), origin());
    let secure = pki.leaf(&["b.test"]);
    let (_secure, secure_at) = secure_origin(&secure);
    fs::write(pki.folder().join("users.htpasswd"), USERS).expect("a file");
    let [web, safe, again, out, admin] = std::array::from_fn(|_| ports::free());
    let at = Places { web, safe, again, out, admin };
    let config = configuration(&origin, secure_at, &pki, &at);
    let proxy = proxyd::run(at.web, &config).admin(at.admin).start();
    let get = |path: &str, fields: &str| {
        // Programs on a loopback listener answer to no other name.
        let raw = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        client::exchange(at.web, "GET", raw).status()
    };
    let agent = "User-Agent: test\r\nReferer: http://b.test/\r\n";
    assert_eq!(get("/text", &format!("Accept-Encoding: gzip\r\n{agent}{TRACED}")), 200);
    assert_eq!(get("/slow", ""), 200);
    assert_eq!(get("/unsteady", ""), 200);
    assert_eq!(get("/unsteady", ""), 200);
    assert_eq!(get("/gone", ""), 502);
    assert_eq!(get("/secure", ""), 200);
    assert_eq!(get("/secret", ""), 403);
    assert_eq!(get("/watched", ""), 200);
    assert_eq!(get("/program", ""), 200);
    assert_eq!(get("/killed", ""), 502);
    assert_eq!(get("/known", ANNA), 200);
    // A client with a certificate; and one that comes twice, whose second handshake is short.
    let own = pki.leaf(&["client.test"]);
    let (cert, key) = (own.cert.display().to_string(), own.key.display().to_string());
    let known = ["--cert", cert.as_str(), "--key", key.as_str()];
    for (port, known, times) in [(at.safe.port(), &known[..], 1), (at.again.port(), &[], 2)] {
        let url = format!("https://a.test:{port}/");
        let resolve = format!("a.test:{port}:127.0.0.1");
        let closing = ["--http1.1", "--resolve", &resolve, "-H", "Connection: close"];
        let urls = vec![url.as_str(); times];
        let said = pki.curl(&[&closing[..], known, &urls].concat());
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
    // A tunnel.
    let target = origin.address().to_string();
    let mut client = Client::connect(at.out);
    client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
    assert_eq!(client.head().expect("a head").status, 200);
    client.finish();
    client.expect_closed();

    let documented = documented();
    assert!(documented.len() > 50, "{documented:?}");
    let logs = ["access.log", "sampled.log"].map(|name| proxy.folder().join(name));
    let seen = || {
        let mut seen = BTreeSet::new();
        for log in &logs {
            let text = fs::read_to_string(log).unwrap_or_default();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            for line in whole.lines() {
                fields(&serde_json::from_str(line).expect("JSON"), &mut seen);
            }
        }
        seen
    };
    // A program's line, and a tunnel's, come when they have ended.
    let mut all = BTreeSet::new();
    for _ in 0..400 {
        all = seen();
        if documented.is_subset(&all) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let missing: Vec<_> = documented.difference(&all).collect();
    assert!(missing.is_empty(), "in docs/logs.md, and in no line: {missing:?}");
    let unknown: Vec<_> = all.difference(&documented).collect();
    assert!(unknown.is_empty(), "in a line, and not in docs/logs.md: {unknown:?}");
    waiting::until("the tunnel's line", || {
        proxy.log().contains("\"tunnel_end\":\"closed\"").then_some(())
    });
}
