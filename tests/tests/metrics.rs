//! The page at `/metrics`: what `docs/metrics.md` says of it is so, and Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use proxyd_tests::client::{self, Client};
use proxyd_tests::origin::{Origin, response};
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::{ports, programs, waiting};
use serde_json::Value;

/// Documented, and not brought about here: lists and users are read again after a while, and
/// bandwidth, external decisions, mirrors, retries and TLS have tests of their own.
const NOT_HERE: [&str; 17] = [
    "proxy_filter_list_reloads_total",
    "proxy_filter_users_reloads_total",
    "proxy_filter_bandwidth_waits_total",
    "proxy_filter_forward_auth_requests_total",
    "proxy_filter_forward_auth_duration_seconds",
    "proxy_upstream_mirrored_requests_total",
    "proxy_upstream_parent_connections_total",
    "proxy_upstream_parent_tls_reloads_total",
    "proxy_upstream_discoveries_total",
    "proxy_upstream_hedges_total",
    "proxy_upstream_tls_reloads_total",
    "proxy_upstream_retries_total",
    "proxy_upstream_retries_refused_total",
    "proxy_server_tls_handshakes_total",
    "proxy_server_tls_handshakes_failed_total",
    "proxy_server_certificate_expiry_timestamp_seconds",
    "proxy_server_certificate_reloads_total",
];

/// A family of metrics: its type and its labels.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

fn documented() -> Families {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = fs::read_to_string(path).expect("docs/metrics.md");
    let mut families = Families::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let quoted = |cell: &str| -> BTreeSet<String> {
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let name = cells[1].trim_matches('`').to_owned();
        let family = (cells[2].to_owned(), quoted(cells[3]));
        assert!(!cells[4].is_empty(), "{name} without a word");
        assert!(families.insert(name.clone(), family).is_none(), "{name} twice");
    }
    families
}

/// The names of the labels of a series.
fn labels(series: &str) -> BTreeSet<String> {
    let Some((_, inside)) = series.split_once('{') else { return BTreeSet::new() };
    let inside = inside.rsplit_once('}').expect("a closing brace").0;
    let mut names = BTreeSet::new();
    let mut rest = inside;
    while let Some((name, after)) = rest.split_once("=\"") {
        names.insert(name.trim_start_matches(',').to_owned());
        let end = after.replace("\\\\", "__").replace("\\\"", "__").find('"').expect("a quote");
        rest = &after[end + 1..];
    }
    names.remove("le");
    names
}

fn scraped(page: &str) -> Families {
    let mut families = Families::new();
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("name and type");
            let family = (kind.to_owned(), BTreeSet::new());
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} twice");
        }
    }
    for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = &line[..line.find(['{', ' ']).expect("a value")];
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let base = base.filter(|base| families.contains_key(*base)).unwrap_or(name);
        let family = families.get_mut(base).unwrap_or_else(|| panic!("{name} has no type"));
        family.1.extend(labels(&line[..line.rfind(' ').expect("a value")]));
    }
    families
}

/// Programs on a loopback listener answer to no other name.
const HOST: &str = "Host: localhost\r\n";

/// A proxy that does everything, and traffic that makes it do so.
fn busy(origin: &Origin) -> Proxyd {
    let [web, forward, admin] = std::array::from_fn(|_| ports::free());
    let port = origin.address().port();
    let folder = Scratch::new("metrics");
    let list = folder.write("blocked.txt", "blocked.test\n");
    let config = format!(
        r#"
[admin]
address = "{admin}"

[log.access]
path = "access.log"

[log.audit]
path = "audit.log"

[listeners.web]
address = "{web}"
role = "gateway"
limits = {{ connections_per_client = 3 }}

[listeners.out]
address = "{forward}"
role = "forward"

[forward]
allow_private_destinations = true
connect_ports = [{port}]

[server.timeouts]
header = "300ms"
silent = "1s"

[upstreams.app]
endpoints = ["http://{origin}"]
adaptive_concurrency = {{ min_limit = 100 }}

[upstreams.gone]
endpoints = ["http://127.0.0.1:{gone}"]

[filter]
block_domains = ["@{list}"]

[filter.inspect]
mode = "enforce"

[filter.inspect.response]
leaks = true

[[filter.rate_limits]]
id = "few"
rate = "1/h"
burst = 1

[[filter.concurrency_limits]]
id = "together"
max = 100

[[routes]]
name = "gone"
match = {{ paths = ["/gone"] }}
upstream = "gone"

[[routes]]
name = "rated"
match = {{ paths = ["/rated"] }}
upstream = "app"
buffer = "both"
limits = {{ rate = ["few"] }}

[[routes]]
name = "formed"
match = {{ paths = ["/formed"] }}
upstream = "app"
input = {{ parameters = 1 }}

[[routes]]
name = "program"
match = {{ paths = ["/program"] }}
exec = {{ program = "/bin/echo", args = ["hello"] }}

[[routes]]
name = "all"
upstream = "app"
cache = true
compress = true
"#,
        origin = origin.address(),
        gone = ports::free().port(),
        list = list.display(),
    );
    let proxy = proxyd::run(web, &config).admin(admin).start();
    let get = |path: &str, fields: &str| {
        let raw = format!("GET {path} HTTP/1.1\r\n{HOST}{fields}\r\n");
        client::exchange(web, "GET", raw).status()
    };
    assert_eq!(get("/text", "Accept-Encoding: gzip\r\n"), 200);
    assert_eq!(get("/text", ""), 200);
    assert_eq!(get("/small", "Accept-Encoding: gzip\r\n"), 200);
    assert_eq!(get("/gone", ""), 502);
    assert_eq!((get("/rated", ""), get("/rated", "")), (200, 429));
    assert_eq!(get("/program", ""), 200);
    assert_eq!(get("/?id=1'+union+select+1,2,3--+-", ""), 403);
    get("/leak", "");
    assert_eq!(get("/formed?a=1&b=2", ""), 400);
    let mut client = Client::connect(web);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n");
    assert_eq!(client.expect("GET").status(), 400);
    let mut client = Client::connect(web);
    client.send("GET / HT");
    assert_eq!(client.expect("GET").status(), 408);
    tunnel(forward, port);
    // One that says nothing is closed.
    let _ = Client::connect(web).rest();
    waiting::until("a refused connection", || {
        // One client has as many connections as it may.
        let _held: Vec<Client> = (0..3).map(|_| Client::connect(web)).collect();
        let mut one_more = Client::connect(web);
        one_more.send(format!("GET /text HTTP/1.1\r\n{HOST}\r\n"));
        one_more.answer("GET").is_err().then_some(())
    });
    proxy
}

fn tunnel(forward: std::net::SocketAddr, port: u16) {
    let target = format!("127.0.0.1:{port}");
    let mut client = Client::connect(forward);
    client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
    assert_eq!(client.head().expect("a head").status, 200);
    client.send(format!("GET /text HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"));
    assert_eq!(client.expect("GET").status(), 200);
    client.finish();
    client.expect_closed();
}

fn origin() -> Origin {
    Origin::answering(|request, _| {
        let fields = [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")];
        let content = match request.head.target.as_str() {
            "/small" => "small".to_owned(),
            "/leak" => "You have an error in your SQL syntax; check the manual that corresponds \
                        to your MySQL server version for the right syntax to use near ''1''' at \
                        line 1"
                .to_owned(),
            _ => "some text that is well compressed ".repeat(200),
        };
        vec![response("200 OK", &fields, content)]
    })
}

#[test]
fn what_is_not_brought_about_here_is_in_another_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let inside = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("the tests");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    // Some are folders of modules.
    let (folders, mut files): (Vec<_>, Vec<_>) =
        inside(&folder).into_iter().partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| inside(folder)));
    let others: String = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .filter(|path| path.file_name().is_some_and(|name| name != "metrics.rs"))
        .map(|path| fs::read_to_string(path).expect("a test"))
        .collect();
    for name in NOT_HERE {
        assert!(others.contains(name), "{name} is caused nowhere");
    }
}

#[test]
fn the_page_is_what_its_table_says() {
    let origin = origin();
    let proxy = busy(&origin);
    let documented = documented();
    // What ends on its own time is waited for: the tunnel's end, the run's.
    let missing = |page: &Families| -> Vec<String> {
        let expected = documented.keys().filter(|name| !NOT_HERE.contains(&name.as_str()));
        expected.filter(|name| !page.contains_key(*name)).cloned().collect()
    };
    let mut page = Families::new();
    for _ in 0..400 {
        page = scraped(&proxy.ask_admin("/metrics").text());
        if missing(&page).is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(missing(&page), Vec::<String>::new(), "in docs/metrics.md, and not scraped");
    for (name, (kind, labels)) in &page {
        let Some((doc_kind, doc_labels)) = documented.get(name) else {
            panic!("{name} ({kind}, {labels:?}) is scraped, and not in docs/metrics.md");
        };
        assert_eq!(kind, doc_kind, "the type of {name}");
        assert_eq!(labels, doc_labels, "the labels of {name}");
    }
}

/// A Prometheus that scrapes one target; killed on drop.
struct Prometheus {
    child: Child,
    address: std::net::SocketAddr,
    _folder: Scratch,
}

impl Prometheus {
    fn scraping(target: std::net::SocketAddr) -> Self {
        let folder = Scratch::new("prometheus");
        let address = ports::free();
        let config = folder.write(
            "prometheus.yml",
            format!(
                "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: proxyd\n    \
                 static_configs:\n      - targets: [\"{target}\"]\n"
            ),
        );
        let child = Command::new(programs::require("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus");
        Self { child, address, _folder: folder }
    }

    /// The value of an instant query, as soon as it has one.
    fn value(&self, query: &str) -> f64 {
        waiting::until_within(Duration::from_secs(60), query, || {
            // It may not listen yet.
            std::net::TcpStream::connect(self.address).ok()?;
            let raw = format!(
                "GET /api/v1/query?query={query} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                self.address
            );
            let mut client = Client::connect(self.address);
            client.send(raw);
            let answer = client.answer("GET").ok()?;
            let answer: Value = serde_json::from_slice(&answer.content).ok()?;
            let value = &answer["data"]["result"][0]["value"][1];
            value.as_str()?.parse().ok()
        })
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn prometheus_reads_it_and_promtool_has_nothing_to_say() {
    let origin = origin();
    let proxy = busy(&origin);
    let mut promtool: Child = Command::new(programs::require("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    let page = proxy.ask_admin("/metrics").text();
    promtool.stdin.take().expect("piped").write_all(page.as_bytes()).expect("written");
    let said = promtool.wait_with_output().expect("its end");
    let words = [said.stdout, said.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&words), "");
    assert!(said.status.success());

    let prometheus = Prometheus::scraping(proxy.admin());
    let seen = prometheus.value("sum(http_server_request_duration_seconds_count)");
    assert!(seen >= 8.0, "{seen}");
    assert_eq!(prometheus.value("up").to_string(), "1");
    assert_eq!(prometheus.value("proxy_build_info").to_string(), "1");
}
