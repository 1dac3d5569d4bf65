//! Overload and slow clients: whose requests come first, how much an endpoint gets, what is held.

use proxyd_tests::client::{self, Client};
use proxyd_tests::configured;
use proxyd_tests::operator;
use proxyd_tests::origin::{Origin, ok, response};
use proxyd_tests::proxyd::{Proxyd, run_to_end};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting::{self, Gate};
use serde_json::Value;

fn counted(proxy: &Proxyd, series: &str) {
    waiting::until(series, || proxy.ask_admin("/metrics").text().contains(series).then_some(()));
}

fn upstream(proxy: &Proxyd, name: &str) -> Option<Value> {
    let all: Value = serde_json::from_str(&proxy.ask_admin("/upstreams").text()).expect("JSON");
    all.as_array()?.iter().find(|own| own["name"] == name).cloned()
}

fn endpoint(proxy: &Proxyd) -> Value {
    upstream(proxy, "app").expect("it is there")["endpoints"][0].clone()
}

#[test]
fn an_overloaded_upstream_serves_and_sheds_by_class() {
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::answering(move |request, _| {
        if request.line().contains("first") {
            let _ = closed.wait();
        }
        ok("served")
    });
    let rest = format!(
        "[[routes]]\nname = \"low\"\nmatch = {{ path_prefixes = [\"/low\"] }}\n\
         upstream = \"one\"\npriority = \"low\"\n\n\
         [[routes]]\nname = \"all\"\nupstream = \"one\"\n\
         priority = {{ class = \"normal\", field = \"x-class\" }}\n\n\
         [upstreams.one]\nendpoints = [\"{}\"]\n\
         circuit_breaker = {{ max_requests = 1, max_pending = 3, pending_timeout = \"60s\" }}\n",
        origin.url()
    );
    let trusted = "trusted_proxies = [\"127.0.0.2\"]";
    let proxy = configured::gateway_routes(&origin.url(), trusted, &rest).start();
    let begin = |from: &str, path: &str, fields: &str| {
        let mut client = Client::connect_from(from.parse().unwrap(), proxy.address());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"));
        client
    };
    let waits = |count: u64| {
        waiting::until("so many wait", || {
            let one = upstream(&proxy, "one")?;
            (one["pending"] == count).then_some(())
        });
    };
    let mut first = begin("127.0.0.1", "/first", "");
    origin.wait_received(0, "first");
    let mut low = begin("127.0.0.1", "/low/1", "");
    waits(1);
    let mut shed = begin("127.0.0.1", "/low/2", "");
    waits(2);
    // It is not trusted: it may not be more than normal.
    let mut normal = begin("127.0.0.1", "/normal", "X-Class: high\r\n");
    waits(3);
    // But it may be less; and nobody is shed for one of the same class.
    let raw = "GET /more HTTP/1.1\r\nHost: a.test\r\nX-Class: low\r\n\r\n";
    let refused = client::exchange(proxy.address(), "GET", raw);
    // Who is trusted is high, and waits in the place of the lowest that came last.
    let mut high = begin("127.0.0.2", "/high", "X-Class: high\r\n");
    for answer in [refused, shed.expect("GET")] {
        assert_eq!((answer.status(), answer.field("retry-after")), (503, Some("1")));
        let status = answer.field("proxy-status").expect("Proxy-Status");
        assert!(status.contains("error=connection_limit_reached"), "{status}");
    }
    gate.open();
    for client in [&mut first, &mut high, &mut normal, &mut low] {
        assert_eq!(client.expect("GET").status(), 200);
    }
    assert_eq!(origin.lines(), ["GET /first", "GET /high", "GET /normal", "GET /low/1"]);
    counted(&proxy, "proxy_upstream_requests_shed_total{upstream=\"one\",priority=\"low\"} 2");
    counted(&proxy, "proxy_upstream_overflows_total{upstream=\"one\",reason=\"shed\"} 1");
}

#[test]
fn how_much_an_endpoint_gets_is_shown() {
    let origin = Origin::saying("served");
    let proxy = configured::gateway(&origin.url(), "", "")
        .env("PROXYD__UPSTREAMS__APP__ADAPTIVE_CONCURRENCY__MIN_LIMIT", "5")
        .start();
    assert_eq!(client::get(proxy.address(), "a.test", "/").status(), 200);
    assert_eq!(endpoint(&proxy)["limit"], 5);
    counted(&proxy, "proxy_upstream_endpoint_concurrency_limit{upstream=\"app\"");
}

fn holding(origin: &Origin, keys: &str) -> Proxyd {
    configured::gateway(&origin.url(), "", &format!("buffer = {keys}\n")).start()
}

#[test]
fn a_slow_client_holds_no_connection_of_the_upstream() {
    let origin = Origin::answering(|request, _| {
        ok(if request.content.len() == 300_000 { "all" } else { "part" })
    });
    let proxy = holding(&origin, "\"request\"");
    let mut client = Client::connect(proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 300000\r\n\r\n");
    client.send(vec![b'a'; 299_999]);
    waiting::until("some of it is in a file", || {
        let series =
            "proxy_upstream_buffer_spilled_bytes_total{route=\"all\",direction=\"request\"}";
        (operator::metric(&proxy, series) > 0.0).then_some(())
    });
    assert_eq!(origin.links(), 0, "nobody is dialled");
    client.send("a");
    let answer = client.expect("POST");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "all"));
    // One that leaves in the middle asks nobody.
    let mut client = Client::connect(proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 300000\r\n\r\n");
    client.send(vec![b'a'; 1_000]);
    client.reset();
    assert_eq!(client::get(proxy.address(), "a.test", "/").status(), 200);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn what_can_not_be_held_is_refused() {
    let origin = Origin::saying("served");
    let proxy = holding(&origin, "{ of = \"request\", memory = \"1KiB\", disk = \"10KiB\" }");
    let raw = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 20000\r\n\r\n";
    let answer = client::exchange(proxy.address(), "POST", raw);
    assert_eq!(answer.status(), 413);
    assert_eq!(origin.requests().len(), 0);
    counted(&proxy, "direction=\"request\",reason=\"limit\"} 1");
}

/// The upstream has said all, and goes on to the next, while the client reads nothing.
#[test]
fn a_slow_reader_holds_no_connection_of_the_upstream() {
    const SIZE: usize = 12 << 20;
    let origin = Origin::answering(|request, _| match request.line().contains("large") {
        true => vec![response("200 OK", &[], vec![b'a'; SIZE])],
        false => ok("small"),
    });
    let proxy = holding(&origin, "\"response\"");
    let mut reader = Client::connect_narrow(proxy.address(), 4096);
    reader.send("GET /large HTTP/1.1\r\nHost: a.test\r\n\r\n");
    waiting::until("the connection is free", || (endpoint(&proxy)["idle"] == 1).then_some(()));
    assert_eq!(client::get(proxy.address(), "a.test", "/").text(), "small");
    assert_eq!(origin.links(), 1, "over the same connection");
    let answer = reader.expect("GET");
    assert_eq!(answer.content.len(), SIZE);
}

#[test]
fn explain_says_what_would_be_done() {
    let scratch = Scratch::new("shaping");
    let config = "[listeners.web]\naddress = \"127.0.0.1:18080\"\nrole = \"gateway\"\n\n\
        [upstreams.app]\nendpoints = [\"http://127.0.0.1:9\"]\n\n\
        [[routes]]\nname = \"all\"\nupstream = \"app\"\npriority = \"high\"\nbuffer = \"both\"\n";
    let path = scratch.path().join("proxyd.toml");
    std::fs::write(&path, config).expect("written");
    let path = path.display().to_string();
    let said = run_to_end(
        scratch.path(),
        &["explain", "--config", &path, "POST", "http://a.test/", "-H", "Content-Length: 3"],
    );
    for expected in ["priority", "high", "request and response are held"] {
        assert!(said.stdout.contains(expected), "{expected}: {}{}", said.stdout, said.stderr);
    }
    // What is wrong is named with its place.
    let wrong = config.replace("\"both\"", "\"all\"").replace("\"high\"", "{ class = \"urgent\" }");
    std::fs::write(&path, wrong).expect("written");
    let said = run_to_end(scratch.path(), &["check", "--config", &path]);
    assert!(said.stderr.contains("buffer") && said.stderr.contains("priority"), "{}", said.stderr);
}
