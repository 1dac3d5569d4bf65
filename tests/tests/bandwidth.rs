//! How fast content flows. A test may be as slow as the machine makes it: what came by some time is
//! bounded by that time, never the other way round.

use std::time::Instant;

use proxyd_tests::client::Client;
use proxyd_tests::configured;
use proxyd_tests::origin::{Origin, ok};
use proxyd_tests::proxyd::{Proxyd, run_to_end};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting;

/// Bytes a second, and at once.
const RATE: usize = 100_000;
const BURST: usize = 20_000;
/// Takes 0.4 s at least.
const CONTENT: usize = 60_000;

const EITHER_WAY: &str =
    "upload_rate = \"100000B\"\ndownload_rate = \"100000B\"\nburst = \"20000B\"\n";

fn limit(more: &str) -> String {
    format!("[[filter.bandwidth_limits]]\nid = \"slow\"\n{EITHER_WAY}{more}\n")
}

fn large() -> Origin {
    Origin::answering(|_, _| ok("x".repeat(CONTENT)))
}

/// Whether so much may have passed since then.
fn is_paid(bytes: usize, since: Instant) -> bool {
    let earned = since.elapsed().as_micros() * RATE as u128 / 1_000_000;
    bytes as u128 <= BURST as u128 + earned + 1
}

/// How many pieces waited.
fn waits(proxy: &Proxyd, direction: &str) -> u64 {
    let start =
        format!("proxy_filter_bandwidth_waits_total{{limit=\"slow\",direction=\"{direction}\"}} ");
    let metrics = proxy.ask_admin("/metrics").text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&start)).expect("the counter");
    line.parse().expect("a number")
}

/// Takes content of this length, and sees that none of it comes too early.
fn take_in_time(client: &mut Client, count: usize, since: Instant) {
    let mut taken = 0;
    while taken < count {
        let piece = client.take(1000.min(count - taken));
        assert!(!piece.is_empty(), "broken off after {taken}");
        taken += piece.len();
        assert!(is_paid(taken, since), "{taken} after {:?}", since.elapsed());
    }
}

#[test]
fn downloads_and_uploads() {
    let origin = large();
    let proxy = configured::gateway(&origin.url(), "", &format!("\n{}", limit(""))).start();
    let mut client = Client::connect(proxy.address());
    let since = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.head().expect("a head");
    take_in_time(&mut client, CONTENT, since);
    assert!(waits(&proxy, "download") > 0);
    assert_eq!(waits(&proxy, "upload"), 0);

    let mut client = Client::connect(proxy.address());
    let content = "u".repeat(CONTENT);
    let since = Instant::now();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {CONTENT}\r\n\r\n{content}"
    ));
    // The origin answers what it has read whole.
    client.head().expect("a head");
    assert!(is_paid(CONTENT, since), "{:?}", since.elapsed());
    assert_eq!(origin.last().content, content.as_bytes());
    assert!(waits(&proxy, "upload") > 0);
}

#[test]
fn tunnels_both_ways() {
    let origin = Origin::echoing();
    let port = origin.address().port();
    let proxy = configured::forward(
        "",
        &format!(
            "[forward]\nallow_private_destinations = true\nconnect_ports = [{port}]\n\n{}",
            limit("")
        ),
    )
    .start();
    let mut client = Client::connect(proxy.address());
    let head = format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    assert_eq!(client.ask("CONNECT", head).status(), 200);
    let since = Instant::now();
    client.send("t".repeat(CONTENT));
    take_in_time(&mut client, CONTENT, since);
    assert!(waits(&proxy, "upload") > 0);
}

#[test]
fn a_limit_that_a_route_names_holds_for_it_alone() {
    let origin = large();
    let proxy = configured::gateway_routes(
        &origin.url(),
        "",
        &format!(
            "[[routes]]\nname = \"slow\"\nmatch = {{ paths = [\"/slow\"] }}\nupstream = \"app\"\n\
             limits.bandwidth = [\"slow\"]\n\n[[routes]]\nname = \"all\"\nupstream = \"app\"\n\n{}",
            limit("")
        ),
    )
    .start();
    let ask = |path: &str| {
        let mut client = Client::connect(proxy.address());
        let answer = client.ask("GET", format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        assert_eq!((answer.status(), answer.content.len()), (200, CONTENT));
    };
    ask("/fast");
    assert_eq!(waits(&proxy, "download"), 0);
    ask("/slow");
    assert!(waits(&proxy, "download") > 0);
}

#[test]
fn connections_have_a_rate_each_and_clients_one() {
    let origin = Origin::answering(|_, _| ok("x".repeat(BURST)));
    // So slow that what a burst took is not earned again while the test runs.
    let limited = |key: &str| {
        let limit = format!(
            "\n[[filter.bandwidth_limits]]\nid = \"slow\"\nkey = \"{key}\"\n\
             download_rate = \"1000B\"\nburst = \"20000B\"\n"
        );
        configured::gateway(&origin.url(), "", &limit).start()
    };
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let each = limited("connection");
    for _ in 0..2 {
        let answer = Client::connect(each.address()).ask("GET", request);
        assert_eq!((answer.status(), answer.content.len()), (200, BURST));
    }
    assert_eq!(waits(&each, "download"), 0);
    let together = limited("client");
    assert_eq!(Client::connect(together.address()).ask("GET", request).content.len(), BURST);
    assert_eq!(waits(&together, "download"), 0);
    let mut second = Client::connect(together.address());
    second.send(request);
    waiting::until("the second waits", || (waits(&together, "download") > 0).then_some(()));
}

#[test]
fn explain_and_check_name_it() {
    let folder = Scratch::new("bandwidth");
    let write = |limit: &str| {
        folder.write(
            "a.toml",
            format!(
                "listeners.web = {{ address = \"127.0.0.1:0\", role = \"gateway\" }}\n\
                 [[routes]]\nname = \"all\"\nrespond = {{ status = 200 }}\n\
                 [[filter.bandwidth_limits]]\nid = \"slow\"\n{limit}\n"
            ),
        );
    };
    write("download_rate = \"1MiB\"");
    let outcome =
        run_to_end(folder.path(), &["explain", "--config", "a.toml", "GET", "http://a.test/"]);
    assert!(outcome.stdout.contains("at most 1048576 bytes/s down"), "{outcome:?}");
    for (limit, expected) in [
        ("burst = \"1KiB\"", "missing key: `upload_rate`, `download_rate`, or both"),
        ("download_rate = \"0B\"", "expected between 1B and 1000000000B"),
        ("upload_rate = \"1KiB\"\nburst = \"0B\"", "expected a burst of at least 1 byte"),
        ("upload_rat = \"1KiB\"", "did you mean `upload_rate`?"),
        ("upload_rate = \"1KiB\"\nkey = \"conection\"", "did you mean `connection`?"),
    ] {
        write(limit);
        let outcome = run_to_end(folder.path(), &["check", "--config", "a.toml"]);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.code == Some(2) && said.contains(expected), "{limit}: {said}");
    }
}
