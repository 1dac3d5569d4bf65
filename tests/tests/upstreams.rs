//! Upstreams of several endpoints: who gets a request, and what clients notice when some fail.

mod failing_nginx;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proxyd_tests::client::{self, Answer, Client};
use proxyd_tests::origin::{Act, Origin, Script, ok, response};
use proxyd_tests::proxyd::{self, Launch, Proxyd, run_to_end};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting::{self, Gate};
use proxyd_tests::{ports, wire};
use serde_json::Value;

/// A gateway with one route to one upstream, which `upstream` describes.
fn gateway(upstream: &str) -> Launch {
    let (address, admin) = (ports::free(), ports::free());
    let config = format!(
        "[admin]\naddress = \"{admin}\"\n\n[log.access]\npath = \"access.log\"\n\n\
         [listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\n\
         [upstreams.app]\n{upstream}\n\n[[routes]]\nname = \"all\"\nupstream = \"app\"\n"
    );
    proxyd::run(address, &config).admin(admin)
}

fn get(proxy: &Proxyd, path: &str) -> Answer {
    client::get(proxy.address(), "app.test", path)
}

fn ask(proxy: &Proxyd, method: &str, fields: &str, content: &str) -> Answer {
    let length = content.len();
    let raw = format!(
        "{method} / HTTP/1.1\r\nHost: app.test\r\n{fields}Content-Length: {length}\r\n\r\n{content}"
    );
    client::exchange(proxy.address(), method, raw)
}

/// What the admin listener says of the endpoints.
fn endpoints(proxy: &Proxyd) -> Vec<Value> {
    let all: Value = serde_json::from_slice(&proxy.ask_admin("/upstreams").content).expect("JSON");
    all[0]["endpoints"].as_array().expect("endpoints").clone()
}

fn await_states(proxy: &Proxyd, states: &[&str]) {
    waiting::until(&format!("the states {states:?}"), || {
        let found = endpoints(proxy);
        (found.iter().map(|own| own["state"].as_str()).eq(states.iter().map(|s| Some(*s))))
            .then_some(())
    });
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    ports::free()
}

/// An origin whose `/healthz` is as the flag says.
fn checked(name: &'static str) -> (Origin, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(true));
    let own = Arc::clone(&well);
    let origin = Origin::answering(move |request, _| match request.head.target.as_str() {
        "/healthz" if !own.load(Ordering::SeqCst) => {
            vec![response("500 Internal Server Error", &[], "")]
        }
        _ => ok(name),
    });
    (origin, well)
}

/// The file of the contract, but for its addresses.
#[test]
fn the_contract_runs_as_written() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let (address, admin) = (ports::free(), ports::free());
    let config = include_str!("../data/contract/gateway.toml")
        .replace("127.0.0.1:9901", &admin.to_string())
        .replace("127.0.0.1:8080", &address.to_string())
        .replace("127.0.0.1:3000", &one.address().to_string())
        .replace("127.0.0.1:3001", &two.address().to_string());
    let proxy = proxyd::run(address, &config).admin(admin).start();
    assert_eq!(get(&proxy, "/x").status(), 200);
    let old = get(&proxy, "/old/a/b");
    assert_eq!((old.status(), old.field("location")), (308, Some("/static/a/b")));
    let mark = (one.mark(), two.mark());
    assert_eq!(get(&proxy, "/api/v1").status(), 200);
    let seen = [one.since(&mark.0), two.since(&mark.1)].concat();
    let seen = seen.iter().map(|own| wire::latin1(&own.bytes)).collect::<String>();
    let seen = seen.to_ascii_lowercase();
    assert!(seen.contains("get /v1 http/1.1") && seen.contains("x-gateway: proxyd"), "{seen}");
    assert_eq!(get(&proxy, "/static/a").field("x-frame-options"), Some("DENY"));
    await_states(&proxy, &["healthy", "healthy"]);
    let of = |origin: &Origin| {
        let lines = origin.lines();
        lines.iter().filter(|line| line.starts_with("GET /spread")).count()
    };
    for _ in 0..30 {
        assert_eq!(get(&proxy, "/spread").status(), 200);
    }
    assert_eq!((of(&one), of(&two)), (10, 20));
}

#[test]
fn checks_say_where_requests_go() {
    let ((one, one_is_well), (two, two_is_well)) = (checked("one"), checked("two"));
    let proxy = gateway(&format!(
        "endpoints = [\"{}\", \"{}\"]\nrequired = true\n\
         health_check = {{ path = \"/healthz\", interval = \"50ms\", timeout = \"5s\", \
         healthy_after = 2, unhealthy_after = 2 }}",
        one.url(),
        two.url()
    ))
    .start();
    await_states(&proxy, &["healthy", "healthy"]);
    one_is_well.store(false, Ordering::SeqCst);
    await_states(&proxy, &["unhealthy", "healthy"]);
    assert_eq!(endpoints(&proxy)[0]["reason"], "status 500");
    assert!((0..10).all(|_| get(&proxy, "/").text() == "two"));
    assert_eq!(proxy.ask_admin("/readyz").status(), 200);

    two_is_well.store(false, Ordering::SeqCst);
    await_states(&proxy, &["unhealthy", "unhealthy"]);
    let refused = get(&proxy, "/");
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.field("retry-after"), Some("1"));
    let told = refused.field("proxy-status").unwrap_or_default();
    assert!(told.contains("error=destination_unavailable"), "{told}");
    let ready = proxy.ask_admin("/readyz");
    assert_eq!(ready.status(), 503);
    assert!(ready.text().contains("upstream app has no healthy endpoint"), "{}", ready.text());

    one_is_well.store(true, Ordering::SeqCst);
    await_states(&proxy, &["healthy", "unhealthy"]);
    assert_eq!(get(&proxy, "/").text(), "one");
    assert_eq!(proxy.ask_admin("/readyz").status(), 200);
    let metrics = waiting::until("the gauge", || {
        let metrics = proxy.ask_admin("/metrics").text();
        let down = format!(
            "proxy_upstream_endpoint_in_service{{upstream=\"app\",endpoint=\"{}\"}} 0",
            two.address()
        );
        metrics.contains(&down).then_some(metrics)
    });
    assert!(metrics.contains("proxy_upstream_health_checks_total{"), "{metrics}");
}

#[test]
fn a_check_without_a_path_only_connects() {
    let origin = Origin::saying("served");
    let proxy = gateway(&format!(
        "endpoints = [\"{}\", \"http://{}\"]\n\
         health_check = {{ interval = \"50ms\", unhealthy_after = 1 }}",
        origin.url(),
        nobody()
    ))
    .start();
    await_states(&proxy, &["healthy", "unhealthy"]);
    assert_eq!(endpoints(&proxy)[1]["reason"], "connection_refused");
}

#[test]
fn what_never_reached_an_endpoint_goes_to_another() {
    let origin = Origin::saying("served");
    let proxy =
        gateway(&format!("endpoints = [\"http://{}\", \"{}\"]", nobody(), origin.url())).start();
    for _ in 0..6 {
        assert_eq!(ask(&proxy, "GET", "", "").text(), "served");
        assert_eq!(ask(&proxy, "POST", "", "content").text(), "served");
    }
    // Five failures in a row are enough.
    let left = endpoints(&proxy);
    assert_eq!((&left[0]["state"], &left[1]["state"]), (&"ejected".into(), &"unchecked".into()));
    assert_eq!(left[0]["reason"], "consecutive_failures");
    let metrics = proxy.ask_admin("/metrics").text();
    let retries = "proxy_upstream_retries_total{upstream=\"app\",reason=\"connect\"} 5";
    assert!(metrics.contains(retries), "{metrics}");
    assert!(metrics.contains("reason=\"consecutive_failures\"} 1"), "{metrics}");
}

#[test]
fn retries_end_with_their_budget() {
    let proxy = gateway(&format!(
        "endpoints = [\"http://{}\", \"http://{}\"]\n\
         outlier = {{ consecutive_failures = 0 }}\nretry = {{ budget = \"1%\" }}",
        nobody(),
        nobody()
    ))
    .start();
    // Nothing succeeds: ten retries are all there are for a while.
    let refused = "proxy_upstream_retries_refused_total{upstream=\"app\"} ";
    waiting::until("a refused retry", || {
        assert_eq!(ask(&proxy, "GET", "", "").status(), 502);
        let metrics = proxy.ask_admin("/metrics").text();
        let count = metrics.lines().find_map(|line| line.strip_prefix(refused))?;
        (count != "0").then_some(())
    });
}

#[test]
fn a_reset_is_repaired_where_that_is_safe() {
    let script = Script::new().on_request(|_, _| vec![Act::Reset]);
    let (broken, well) = (Origin::start(script), Origin::saying("served"));
    let proxy = gateway(&format!(
        "endpoints = [\"{}\", \"{}\"]\noutlier = {{ consecutive_failures = 0 }}\n\
         retry = {{ on = [\"connect\", \"reset\"] }}",
        broken.url(),
        well.url()
    ))
    .start();
    assert!((0..4).all(|_| ask(&proxy, "GET", "", "").status() == 200));
    let statuses: Vec<u16> = (0..4).map(|_| ask(&proxy, "POST", "", "x").status()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 2, "{statuses:?}");
    let posts = broken.lines().into_iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(posts, 2, "none was sent twice");
}

#[test]
fn chosen_statuses_go_again_with_their_content() {
    let failing = Origin::answering(|_, _| vec![response("503 Unavailable", &[], "")]);
    let well = Origin::answering(|request, _| ok(&request.content));
    let proxy = gateway(&format!(
        "endpoints = [\"{}\", \"{}\"]\nretry = {{ statuses = [503] }}",
        failing.url(),
        well.url()
    ))
    .start();
    for _ in 0..4 {
        let answer = ask(&proxy, "PUT", "", "the content");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "the content"));
    }
    ask(&proxy, "POST", "", "x");
    let lines = [failing.lines(), well.lines()].concat();
    assert_eq!(lines.iter().filter(|line| line.starts_with("POST")).count(), 1, "{lines:?}");
}

#[test]
fn an_attempt_that_takes_too_long_is_made_elsewhere() {
    let gate = Gate::new();
    let closed = gate.clone();
    let slow = Origin::answering(move |_, _| {
        let _ = closed.wait();
        ok("slow")
    });
    let fast = Origin::saying("fast");
    let proxy = gateway(&format!(
        "endpoints = [\"{}\", \"{}\"]\n\
         retry = {{ on = [\"timeout\"], attempt_timeout = \"5s\" }}",
        slow.url(),
        fast.url()
    ))
    .start();
    // The first turn is the slow one's.
    assert_eq!(get(&proxy, "/").text(), "fast");
    assert_eq!((slow.links(), fast.links()), (1, 1));
    gate.open();
}

#[test]
fn a_full_endpoint_lets_wait_and_then_refuses() {
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::answering(move |_, _| {
        let _ = closed.wait();
        ok("served")
    });
    let proxy = gateway(&format!(
        "endpoints = [\"{}\"]\n\
         circuit_breaker = {{ max_connections = 1, max_pending = 1, pending_timeout = \"60s\" }}",
        origin.url()
    ))
    .start();
    let address = proxy.address();
    let ask = move || {
        let mut client = Client::connect(address);
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
        client
    };
    let mut first = ask();
    origin.wait_links(1);
    let mut second = ask();
    waiting::until("one waits", || {
        let all: Value = serde_json::from_slice(&proxy.ask_admin("/upstreams").content).ok()?;
        (all[0]["pending"] == 1).then_some(())
    });
    let third = ask().expect("GET");
    assert_eq!((third.status(), third.field("retry-after")), (503, Some("1")));
    let told = third.field("proxy-status").unwrap_or_default();
    assert!(told.contains("error=connection_limit_reached"), "{told}");
    gate.open();
    assert_eq!(first.expect("GET").text(), "served");
    assert_eq!(second.expect("GET").text(), "served");
    assert_eq!(origin.links(), 1, "it waited for the connection");
    let metrics = proxy.ask_admin("/metrics").text();
    let full = "proxy_upstream_overflows_total{upstream=\"app\",reason=\"queue_full\"} 1";
    assert!(metrics.contains(full), "{metrics}");
}

/// A connection over which a client still sends is no other's, although its answer is whole: the next
/// request waits for it, and is not refused for the lack of a connection.
#[test]
fn a_client_that_still_sends_after_its_answer_holds_its_place() {
    let script = Script::new()
        .on_head(|head, _| match head.target.as_str() {
            "/early" => vec![response("200 OK", &[], "early")],
            _ => Vec::new(),
        })
        .on_request(|request, _| match request.head.target.as_str() {
            "/early" => Vec::new(),
            _ => ok("served"),
        });
    let origin = Origin::start(script);
    let proxy = gateway(&format!(
        "endpoints = [\"{}\"]\ncircuit_breaker = {{ max_connections = 1, pending_timeout = \"1h\" }}",
        origin.url()
    ))
    .start();
    let mut slow = Client::connect(proxy.address());
    slow.send("POST /early HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nhello");
    assert_eq!(slow.expect("POST").text(), "early");
    let mut next = Client::connect(proxy.address());
    next.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    waiting::until("it waits", || {
        let all: Value = serde_json::from_slice(&proxy.ask_admin("/upstreams").content).ok()?;
        (all[0]["pending"] == 1).then_some(())
    });
    slow.send("world");
    let answer = next.expect("GET");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "served"));
}

#[test]
fn whoever_waits_too_long_is_refused() {
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::answering(move |_, _| {
        let _ = closed.wait();
        ok("served")
    });
    let proxy = gateway(&format!(
        "endpoints = [\"{}\"]\n\
         circuit_breaker = {{ max_connections = 1, pending_timeout = \"200ms\" }}",
        origin.url()
    ))
    .start();
    let mut first = Client::connect(proxy.address());
    first.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    origin.wait_links(1);
    assert_eq!(get(&proxy, "/").status(), 503);
    gate.open();
    assert_eq!(first.expect("GET").status(), 200);
}

#[test]
fn a_cookie_brings_clients_back() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let proxy = gateway(&format!(
        "endpoints = [\"{}\", \"{}\"]\nsticky = {{ cookie = \"place\", max_age = \"1h\" }}",
        one.url(),
        two.url()
    ))
    .start();
    for _ in 0..2 {
        let first = ask(&proxy, "GET", "", "");
        let cookie = first.field("set-cookie").expect("a cookie").to_owned();
        let (pair, rest) = cookie.split_once(';').expect("attributes");
        assert_eq!(rest, " Path=/; HttpOnly; SameSite=Lax; Max-Age=3600");
        let fields = format!("Cookie: a=b; {pair}\r\n");
        for _ in 0..4 {
            let again = ask(&proxy, "GET", &fields, "");
            assert_eq!((again.text(), again.field("set-cookie")), (first.text(), None));
        }
    }
    let strange = ask(&proxy, "GET", "Cookie: place=nowhere\r\n", "");
    assert!(strange.field("set-cookie").is_some());
}

/// Without a secret anybody can tell from an endpoint's name which cookie is its own; with one only
/// those who know it, who all agree.
#[test]
fn with_a_secret_a_cookie_says_nothing_to_others() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let keys = |secret: &str| {
        format!(
            "endpoints = [\"{}\", \"{}\"]\nsticky = {{ cookie = \"place\"{secret} }}",
            one.url(),
            two.url()
        )
    };
    let told = ", secret = { file = \"sticky.secret\" }";
    let with = |secret: &str| gateway(&keys(told)).file("sticky.secret", secret).start();
    let proxies = [gateway(&keys("")).start(), with("one secret"), with("another")];
    let cookies = proxies.each_ref().map(|proxy| {
        let mut cookies = std::collections::BTreeMap::new();
        for _ in 0..4 {
            let answer = ask(proxy, "GET", "", "");
            let cookie = answer.field("set-cookie").expect("a cookie");
            let pair = cookie.split(';').next().expect("a pair").to_owned();
            cookies.insert(answer.text(), pair);
        }
        assert_eq!(cookies.len(), 2, "both endpoints");
        cookies
    });
    let distinct: std::collections::BTreeSet<_> =
        cookies.iter().flat_map(|own| own.values()).collect();
    assert_eq!(distinct.len(), 6, "{cookies:?}");
    // Whoever knows it agrees; to all others the cookie is none.
    let again = with("one secret");
    for (content, pair) in &cookies[1] {
        let fields = format!("Cookie: {pair}\r\n");
        for _ in 0..3 {
            let answer = ask(&again, "GET", &fields, "");
            assert_eq!((&answer.text(), answer.field("set-cookie")), (content, None));
        }
        assert!(ask(&proxies[2], "GET", &fields, "").field("set-cookie").is_some());
    }
    // It is shown nowhere.
    let shown = again.ask_admin("/config").text();
    assert!(shown.contains("sticky.secret") && !shown.contains("one secret"), "{shown}");
}

#[test]
fn equal_keys_come_to_the_same_endpoint() {
    let origins = ["one", "two", "three"].map(Origin::saying);
    let urls = origins.each_ref().map(|origin| format!("\"{}\"", origin.url())).join(", ");
    let config = format!("endpoints = [{urls}]\nbalance = \"hash\"\nhash.by = \"field:X-Key\"");
    let proxy = gateway(&config).start();
    let other = gateway(&config).start();
    let mut homes = std::collections::BTreeSet::new();
    for key in 0..20 {
        let fields = format!("X-Key: {key}\r\n");
        let home = ask(&proxy, "GET", &fields, "").text();
        for proxy in [&proxy, &other] {
            assert_eq!(ask(proxy, "GET", &fields, "").text(), home, "{key}");
        }
        homes.insert(home);
    }
    assert_eq!(homes.len(), 3);
}

#[test]
fn backups_are_for_the_time_without_others() {
    let backup = Origin::saying("backup");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let first = Origin::answering(move |_, _| match counted.fetch_add(1, Ordering::SeqCst) {
        0..3 => ok("first"),
        _ => vec![response("503 Unavailable", &[], "")],
    });
    let proxy = gateway(&format!(
        "endpoints = [\"{}\", {{ url = \"{}\", backup = true }}]\n\
         outlier = {{ consecutive_failures = 1 }}",
        first.url(),
        backup.url()
    ))
    .start();
    assert!((0..3).all(|_| get(&proxy, "/").text() == "first"));
    assert_eq!(get(&proxy, "/").status(), 503);
    assert!((0..3).all(|_| get(&proxy, "/").text() == "backup"));
}

#[test]
fn explain_says_how_an_endpoint_is_chosen() {
    let folder = Scratch::new("explain");
    let config = "listeners.web = { address = \"127.0.0.1:8080\", role = \"gateway\" }\n\
                  upstreams.app.endpoints = [\"http://127.0.0.1:3000\", \"http://127.0.0.1:3001\"]\n\
                  upstreams.app.balance = \"least_requests\"\n\
                  [[routes]]\nname = \"all\"\nupstream = \"app\"\n";
    folder.write("a.toml", config);
    let arguments = ["explain", "--config", "a.toml", "GET", "http://app.test/"];
    let told = run_to_end(folder.path(), &arguments);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(told.stdout.contains("app: 127.0.0.1:300"), "{}", told.stdout);
    assert!(told.stdout.contains("least_requests, 2 of 2 in service"), "{}", told.stdout);
}

#[test]
fn a_second_attempt_is_made_beside_a_slow_one() {
    // The first answers nothing that is slow.
    let hangs = Origin::answering(|request, _| match request.head.target.as_str() {
        "/slow" => Vec::new(),
        _ => ok("first"),
    });
    let answers = Origin::saying("second");
    let proxy = gateway(&format!(
        "endpoints = [\"{}\", \"{}\"]\nhedge = {{ min_delay = \"10ms\", budget = \"100%\" }}",
        hangs.url(),
        answers.url()
    ))
    .start();
    // What is usual is learnt first.
    for _ in 0..64 {
        assert_eq!(get(&proxy, "/").status(), 200);
    }
    for _ in 0..4 {
        assert_eq!(get(&proxy, "/slow").text(), "second");
    }
    assert!(hangs.lines().iter().any(|line| line == "GET /slow"), "it was never slow");
    let metrics = proxy.ask_admin("/metrics").text();
    let won = "proxy_upstream_hedges_total{upstream=\"app\",outcome=\"won\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(won)?.parse::<u32>().ok());
    assert!(count.is_some_and(|count| count > 0), "{metrics}");
    // The log has the one that answered, with its address.
    let second = answers.address().to_string();
    let won = waiting::until("lines of those that were slow", || {
        let log = proxy.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let slow: Vec<_> = lines.filter(|line| line["target"] == "/slow").collect();
        (slow.len() == 4).then_some(slow)
    });
    for line in won {
        assert_eq!(line["upstream"]["address"], second, "{line}");
    }
    // What is not safe is not sent twice.
    let sent =
        |origin: &Origin| origin.lines().iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(ask(&proxy, "POST", "", "x").status(), 200);
    assert_eq!(sent(&hangs) + sent(&answers), 1);
}
