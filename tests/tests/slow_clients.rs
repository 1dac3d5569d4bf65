//! slowhttptest against `proxyd reverse`: a thousand connections that are slow on purpose, in
//! their heads, their content and their reading. Honest clients are served all the time, and most
//! of the slow ones are ended.
//!
//! How much longer honest clients wait is measured by hand:
//!
//! ```sh
//! PROXYD_BIN=target/release/proxyd \
//!     cargo test -p proxyd-tests --test slow_clients -- --ignored --nocapture
//! ```
#![allow(clippy::print_stdout, reason = "its figures are what the measurement is for")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use proxyd_tests::client;
use proxyd_tests::configured;
use proxyd_tests::nginx::Nginx;
use proxyd_tests::operator;
use proxyd_tests::programs;
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting;

/// As many as the issue asks for.
const CONNECTIONS: usize = 1000;

/// The defaults are ten times as long.
const TIMEOUTS: &str = "[server.timeouts]\nheader = \"2s\"\nbody_grace = \"2s\"\nwrite = \"3s\"\n\
                        [server.limits]\nconnections_per_client = 5000\n";
/// So many seconds the tool runs.
const SECONDS: &str = "12";
/// So many at most, where the proxy itself counts what it ends.
const PATIENCE: &str = "60";

struct Attack {
    child: Child,
    scratch: Scratch,
}

impl Attack {
    fn start(proxy: &Proxyd, seconds: &str, arguments: &[&str]) -> Self {
        let scratch = Scratch::new("slowhttptest");
        let count = CONNECTIONS.to_string();
        let child = Command::new(programs::require("slowhttptest"))
            .args(["-c", &count, "-r", "500", "-l", seconds, "-p", "10", "-g", "-o", "out"])
            .args(arguments)
            .args(["-u", &format!("http://{}/big", proxy.address())])
            .current_dir(scratch.path())
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(scratch.join("said")).expect("a file"))
            .stderr(Stdio::null())
            .spawn()
            .expect("slowhttptest can be started");
        Self { child, scratch }
    }

    fn goes_on(&mut self) -> bool {
        self.child.try_wait().expect("slowhttptest").is_none()
    }

    /// The tool's table, and whether it found no connection left: its last second is not in the
    /// table.
    fn result(&self) -> (String, bool) {
        let said = read(&self.scratch.join("said"));
        (read(&self.scratch.join("out.csv")), said.contains("No open connections left"))
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        // Only fails when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The column of the tool's table that counts closed connections, in its last line.
fn closed(table: &str) -> usize {
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = head.iter().position(|name| name.trim() == "Closed").expect("a column Closed");
    let last = lines.last().unwrap_or_default();
    last.split(',').nth(column).and_then(|cell| cell.trim().parse().ok()).unwrap_or(0)
}

/// How many connections the proxy has ended for this reason, by its own count.
fn timed_out(proxy: &Proxyd, reason: &str) -> usize {
    let metrics = proxy.ask_admin("/metrics").text();
    let line = format!("proxy_server_timeouts_total{{reason=\"{reason}\"}} ");
    metrics.lines().find_map(|l| l.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
}

/// `ended_for`: where the tool does not see the end. A reader as slow as that has data left to
/// read when the reset comes, and never gets to it.
fn withstands(arguments: &[&str], ended_for: Option<&str>) {
    let nginx = Nginx::serving_files();
    nginx.file("big", vec![b'x'; 5_000_000]);
    nginx.file("small", "hello");
    let proxy = configured::gateway(&nginx.url(), "", TIMEOUTS).start();
    let seconds = if ended_for.is_some() { PATIENCE } else { SECONDS };
    let mut attack = Attack::start(&proxy, seconds, arguments);
    let enough = || ended_for.is_some_and(|reason| timed_out(&proxy, reason) >= CONNECTIONS / 2);
    let mut honest = 0;
    while attack.goes_on() && !enough() {
        let answer = client::get(proxy.address(), "localhost", "/small");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
        honest += 1;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let (table, all_ended) = attack.result();
    assert!(honest > 0);
    if let Some(reason) = ended_for {
        let ended = timed_out(&proxy, reason);
        assert!(ended >= CONNECTIONS / 2, "{ended} ended for {reason}\n{table}");
        return;
    }
    assert!(all_ended || closed(&table) >= CONNECTIONS / 2, "{table}");
}

const HEADS: &[&str] = &["-H", "-i", "1", "-x", "24"];
const CONTENT: &[&str] = &["-B", "-i", "1", "-s", "8192", "-x", "10", "-t", "POST"];
const READERS: &[&str] = &["-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"];

#[test]
fn slow_heads() {
    withstands(HEADS, None);
}

#[test]
fn slow_content() {
    withstands(CONTENT, None);
}

#[test]
fn slow_readers() {
    withstands(READERS, Some("write"));
}

/// How long honest clients wait who ask every ten milliseconds, each over a connection of its own:
/// the median, and what only a hundredth of them exceeds.
fn waits(proxy: &Proxyd, requests: usize) -> (Duration, Duration) {
    let begun = Instant::now();
    let mut times: Vec<Duration> = (1..=requests)
        .map(|number| {
            let asked = Instant::now();
            let answer = client::get(proxy.address(), "localhost", "/small");
            assert_eq!(answer.status(), 200, "{answer:?}");
            let took = asked.elapsed();
            let due = begun + Duration::from_millis(10) * u32::try_from(number).expect("small");
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            took
        })
        .collect();
    times.sort_unstable();
    (times[requests / 2], times[requests * 99 / 100])
}

#[test]
#[ignore = "a measurement: its figures are read, on a machine that does nothing else"]
fn how_much_longer_honest_clients_wait() {
    const REQUESTS: usize = 1_000;
    let nginx = Nginx::serving_files();
    nginx.file("big", vec![b'x'; 5_000_000]);
    nginx.file("small", "hello");
    let limits = "[server.limits]\nconnections_per_client = 5000\n";
    let proxy = configured::gateway(&nginx.url(), "", limits).start();
    let _ = waits(&proxy, 300);
    for (name, arguments) in [("heads", HEADS), ("content", CONTENT), ("readers", READERS)] {
        let usual = waits(&proxy, REQUESTS);
        let attack = Attack::start(&proxy, "60", arguments);
        waiting::until("nearly all slow clients are connected", || {
            let open = operator::metric(&proxy, "proxy_server_connections");
            (open >= CONNECTIONS as f64 * 0.9).then_some(())
        });
        let beside = waits(&proxy, REQUESTS);
        drop(attack);
        let times = beside.1.as_secs_f64() / usual.1.as_secs_f64();
        println!(
            "slow {name}: median {:.3?}, p99 {:.3?}; without them {:.3?} and {:.3?}: {times:.2} times",
            beside.0, beside.1, usual.0, usual.1
        );
        waiting::until_within(waiting::PATIENCE * 3, "the slow ones have gone", || {
            let open = operator::metric(&proxy, "proxy_server_connections");
            (open < 50.0).then_some(())
        });
    }
}
