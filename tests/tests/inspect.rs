//! Inspection in front of an origin server: `contract/inspect.toml` and what it promises.

use std::io::Write;

use proxyd_tests::client::{self, Answer, Client};
use proxyd_tests::origin::{Act, Origin, Script, ok};
use proxyd_tests::proxyd::{Launch, Proxyd, run_to_end};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::{configured, waiting};

const ATTACK: &str = "1'+union+select+1,2,3--+-";

fn inspected(origin: &Origin, rest: &str) -> Launch {
    configured::gateway(&origin.url(), "", rest)
}

fn enforced(origin: &Origin) -> Proxyd {
    inspected(origin, "[filter.inspect]\nmode = \"enforce\"\n").start()
}

fn ask(proxy: &Proxyd, method: &str, target: &str, fields: &str, content: &[u8]) -> Answer {
    let mut raw = format!("{method} {target} HTTP/1.1\r\nHost: shop.test\r\n{fields}").into_bytes();
    if !content.is_empty() {
        raw.extend_from_slice(format!("Content-Length: {}\r\n", content.len()).as_bytes());
    }
    raw.extend_from_slice(b"\r\n");
    raw.extend_from_slice(content);
    client::exchange(proxy.address(), method, raw)
}

/// A refusal is a page with the request's id, and the rule is in the log; the origin saw nothing.
fn refused(answer: &Answer, what: &str) {
    assert_eq!(answer.status(), 403, "{what}: {}", answer.text());
    let page: serde_json::Value = serde_json::from_slice(&answer.content).expect("a problem");
    assert_eq!(page["reason"], "request_inspection", "{what}");
    assert!(page["request_id"].is_string(), "{what}: {page}");
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
}

#[test]
fn attacks_are_refused_wherever_they_stand() {
    let origin = Origin::saying("served");
    let proxy = enforced(&origin);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let json = "Content-Type: application/json\r\n";
    let parts = "Content-Type: multipart/form-data; boundary=B\r\n";
    let spaced = ATTACK.replace('+', " ");
    let part =
        format!("--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{spaced}\r\n--B--\r\n");
    for (what, method, target, fields, content) in [
        ("path", "GET", "/x/1%27%20union%20select%201,2,3--%20-", "", String::new()),
        ("query", "GET", &*format!("/?id={ATTACK}"), "", String::new()),
        ("cookie", "GET", "/", &*format!("Cookie: a=b; c={spaced}\r\n"), String::new()),
        ("field", "GET", "/", &*format!("X-Note: {spaced}\r\n"), String::new()),
        ("form", "POST", "/", form, format!("a=b&c={ATTACK}")),
        ("json", "POST", "/", json, format!("{{\"a\":[\"{spaced}\"]}}")),
        ("multipart", "POST", "/", parts, part),
        ("climb", "GET", "/?f=..%2f..%2f..%2fetc%2fpasswd", "", String::new()),
    ] {
        refused(&ask(&proxy, method, target, fields, content.as_bytes()), what);
    }
    assert!(origin.requests().is_empty());
    let log = waiting::until("the log", || {
        let log = proxy.log();
        (log.lines().count() >= 8).then_some(log)
    });
    assert!(log.contains("sqli-union") && log.contains("\"inspect\""), "{log}");
}

/// The file that the interface promises, but for its ports.
#[test]
fn the_contract_runs_as_written() {
    let origin = Origin::saying("served");
    let address = proxyd_tests::ports::free();
    let config = format!(
        "[listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\n\
         [upstreams.origin]\nendpoints = [\"{}\"]\n\n\
         [filter.inspect]\nmode = \"enforce\"\n\n\
         [log.audit]\npath = \"audit.jsonl\"\n\n\
         [[routes]]\nname = \"all\"\nupstream = \"origin\"\n",
        origin.url()
    );
    let proxy = proxyd_tests::proxyd::run(address, &config).start();
    refused(&ask(&proxy, "GET", &format!("/?id={ATTACK}"), "", b""), "query");
    assert_eq!(ask(&proxy, "GET", "/?id=1", "", b"").status(), 200);
    let audit = waiting::until("the audit", || {
        let audit = std::fs::read_to_string(proxy.folder().join("audit.jsonl")).ok()?;
        audit.contains("sqli-union").then_some(audit)
    });
    assert!(audit.contains("\"inspect\""), "{audit}");
}

#[test]
fn a_browser_gets_a_page_without_a_word_of_the_request() {
    let origin = Origin::saying("served");
    let proxy = enforced(&origin);
    let answer =
        ask(&proxy, "GET", "/?q=%3Cscript%3Ealert(1)%3C/script%3E", "Accept: text/html\r\n", b"");
    assert_eq!(answer.status(), 403);
    let page = answer.text();
    assert!(page.contains("request_inspection") && page.contains("Request: "), "{page}");
    assert!(!page.contains("alert") && !page.contains("script>"), "{page}");
}

#[test]
fn what_is_no_attack_passes_untouched() {
    let origin = Origin::saying("served");
    let proxy = enforced(&origin);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (method, target, fields, content) in [
        ("GET", "/search?q=select+a+plan+from+the+list+where+we+left+off&page=2", "", ""),
        ("GET", "/?next=https%3A%2F%2Fa.test%2Fx%3Fy%3Dz%26w%3D1", "Cookie: s={\"a\":1}\r\n", ""),
        ("POST", "/", form, "name=O%27Brien&note=Tom+%26+Jerry%27s+%22best%22+--+really%3B+yes"),
        (
            "POST",
            "/",
            "Content-Type: application/json\r\n",
            "{\"query\":\"{ user(id: 1) { name } }\"}",
        ),
        ("PUT", "/a/b.txt", "Content-Type: text/plain\r\n", "1 < 2 and 2 > 1; a || b\n"),
    ] {
        let answer = ask(&proxy, method, target, fields, content.as_bytes());
        assert_eq!(
            (answer.status(), answer.text().as_str()),
            (200, "served"),
            "{target} {content}"
        );
        let seen = origin.last();
        assert_eq!(
            (seen.head.target.as_str(), seen.content.as_slice()),
            (target, content.as_bytes())
        );
    }
}

#[test]
fn reports_refuse_nothing_and_are_written_down() {
    let origin = Origin::saying("served");
    let rest = "[filter.inspect]\nmode = \"report\"\n";
    let proxy = inspected(&origin, rest).start();
    assert_eq!(ask(&proxy, "GET", &format!("/?id={ATTACK}"), "", b"").status(), 200);
    let metrics = proxy.ask_admin("/metrics").text();
    let reported = "proxy_filter_inspected_requests_total{route=\"all\",outcome=\"reported\"} 1";
    assert!(metrics.contains(reported), "{metrics}");
}

#[test]
fn routes_and_parameters_are_left_out() {
    let origin = Origin::saying("served");
    let rest = "inspect = { exclusions = [{ rule = \"sqli-*\", parameter = \"sql\" }] }\n\
                [[routes]]\nname = \"free\"\nmatch = { path_prefixes = [\"/free\"] }\n\
                upstream = \"app\"\ninspect = false\n\
                [filter.inspect]\nmode = \"enforce\"\n";
    // The first route matches everything, so the free one goes first.
    let (all, free) = rest.split_once("[[routes]]").expect("two routes");
    let (free, tables) = free.split_once("[filter.inspect]").expect("a table");
    let config = format!(
        "[[routes]]{free}[[routes]]\nname = \"all\"\nupstream = \"app\"\n{all}[filter.inspect]{tables}"
    );
    let proxy = configured::gateway_routes(&origin.url(), "", &config).start();
    assert_eq!(ask(&proxy, "GET", &format!("/free?id={ATTACK}"), "", b"").status(), 200);
    assert_eq!(ask(&proxy, "GET", &format!("/?sql={ATTACK}"), "", b"").status(), 200);
    assert_eq!(ask(&proxy, "GET", &format!("/?id={ATTACK}"), "", b"").status(), 403);
}

#[test]
fn a_large_upload_flows_with_flat_memory() {
    let origin = Origin::saying("served");
    let proxy = enforced(&origin);
    assert_eq!(ask(&proxy, "GET", "/", "", b"").status(), 200);
    let before = proxy.resident_kib();
    let piece = "lorem ipsum dolor sit amet, ".repeat(2000);
    let count = 40_000_000 / piece.len();
    let mut client = Client::connect(proxy.address());
    let head = format!(
        "POST /up HTTP/1.1\r\nHost: shop.test\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        piece.len() * count
    );
    assert!(client.send(head));
    let mut most = 0;
    for _ in 0..count {
        assert!(client.send(&piece));
        most = most.max(proxy.resident_kib());
    }
    assert_eq!(client.expect("POST").status(), 200);
    assert_eq!(origin.last().content.len(), piece.len() * count);
    assert!(most < before + 16 * 1024, "{before} KiB, then {most} KiB");
}

#[test]
fn an_attack_late_in_an_upload_is_refused_and_never_whole_at_the_origin() {
    let origin = Origin::saying("served");
    let proxy = enforced(&origin);
    let mut content = "lorem ipsum dolor sit amet, ".repeat(20_000).into_bytes();
    content.extend_from_slice(b" <script>alert(document.cookie)</script> ");
    let answer = ask(&proxy, "POST", "/up", "Content-Type: text/plain\r\n", &content);
    refused(&answer, "late");
    assert!(origin.requests().is_empty());
    assert_eq!(ask(&proxy, "GET", "/", "", b"").status(), 200);
}

#[test]
fn coded_content_is_seen_and_a_bomb_is_refused() {
    let origin = Origin::saying("served");
    let proxy = enforced(&origin);
    let gzip = |content: &[u8]| {
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        coder.write_all(content).expect("memory");
        coder.finish().expect("memory")
    };
    let fields = "Content-Type: application/x-www-form-urlencoded\r\nContent-Encoding: gzip\r\n";
    let attack = gzip(format!("a=b&c={ATTACK}").as_bytes());
    refused(&ask(&proxy, "POST", "/", fields, &attack), "coded");
    let fine = gzip(b"a=b&c=d");
    assert_eq!(ask(&proxy, "POST", "/", fields, &fine).status(), 200);
    assert_eq!(origin.last().content, fine);
    let before = proxy.resident_kib();
    let bomb = gzip(&vec![b'a'; 64 << 20]);
    let answer = ask(&proxy, "POST", "/", fields, &bomb);
    assert_eq!(answer.status(), 413, "{}", answer.text());
    assert!(answer.text().contains("decompression_bomb"), "{}", answer.text());
    assert!(proxy.resident_kib() < before + 8 * 1024);
    waiting::until("the log names the rule", || proxy.log().contains("limit-coding").then_some(()));
    assert_eq!(origin.last().content, fine, "it never saw the bomb");
}

#[test]
fn event_streams_are_not_held() {
    let gate = waiting::Gate::new();
    let opened = gate.clone();
    let origin = Origin::start(Script::new().on_request(move |_, _| {
        let gate = opened.clone();
        vec![
            Act::send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"),
            Act::Until(gate),
            Act::send("9\r\ndata: 2\n\n\r\n0\r\n\r\n"),
        ]
    }));
    let rest = "[filter.inspect.response]\nleaks = true\nblock_files = [\"executable\"]\n";
    let proxy = inspected(&origin, rest).start();
    let mut client = Client::connect(proxy.address());
    assert!(client.send("GET /events HTTP/1.1\r\nHost: shop.test\r\n\r\n"));
    client.head().expect("a head");
    let first = client.take(14);
    assert!(String::from_utf8_lossy(&first).contains("data: 1"));
    gate.open();
    let second = client.take(14);
    assert!(String::from_utf8_lossy(&second).contains("data: 2"));
}

#[test]
fn responses_that_leak_are_kept_back() {
    let origin = Origin::answering(|request, _| match request.head.target.as_str() {
        "/key" => ok(concat!(
            "-----BEGIN RSA PRIVATE KEY-----\n",
            "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgwMbRvI0MBZhpF\n"
        )),
        "/tool" => ok(b"\x7FELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"),
        _ => ok("fine"),
    });
    let rest = "[filter.inspect.response]\nleaks = true\nblock_files = [\"executable\"]\n";
    let proxy = inspected(&origin, rest).start();
    for (target, status) in [("/key", 502), ("/tool", 403), ("/", 200)] {
        let answer = ask(&proxy, "GET", target, "", b"");
        assert_eq!(answer.status(), status, "{target}");
        assert_eq!(answer.text().contains("response_inspection"), status != 200);
        assert!(!answer.text().contains("MII"));
    }
}

#[test]
fn the_one_line_mode_inspects() {
    let origin = Origin::saying("served");
    let proxy = proxyd_tests::proxyd::reverse(&origin.url()).arg("--inspect=enforce").start();
    assert_eq!(ask(&proxy, "GET", &format!("/?id={ATTACK}"), "", b"").status(), 403);
    assert_eq!(ask(&proxy, "GET", "/?id=1", "", b"").status(), 200);
}

#[test]
fn explain_shows_what_was_found() {
    let folder = Scratch::new("inspect");
    let config = "[listeners.web]\naddress = \"127.0.0.1:8080\"\nrole = \"gateway\"\n\
                  [upstreams.origin]\nendpoints = [\"http://127.0.0.1:9\"]\n\
                  [filter.inspect]\n[[routes]]\nname = \"all\"\nupstream = \"origin\"\n";
    folder.write("proxyd.toml", config);
    let explain = |url: &str| {
        let arguments = ["explain", "--config", "proxyd.toml", "GET", url];
        let outcome = run_to_end(folder.path(), &arguments);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stdout
    };
    let attack = explain(&format!("http://shop.test/?id={ATTACK}"));
    assert!(attack.contains("sqli-union scores 5 in query `id`"), "{attack}");
    assert!(attack.contains("deny") && !attack.contains("127.0.0.1:9"), "{attack}");
    let fine = explain("http://shop.test/?id=1");
    assert!(fine.contains("score_0") && fine.contains("127.0.0.1:9"), "{fine}");
}
