//! slowhttptest against `proxyd reverse`: a thousand connections that are slow on purpose, in
//! their heads, their content and their reading. Honest clients are served all the time, and most
//! of the slow ones are ended.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use proxyd_tests::client;
use proxyd_tests::configured;
use proxyd_tests::nginx::Nginx;
use proxyd_tests::programs;
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::scratch::Scratch;

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

#[test]
fn slow_heads() {
    withstands(&["-H", "-i", "1", "-x", "24"], None);
}

#[test]
fn slow_content() {
    withstands(&["-B", "-i", "1", "-s", "8192", "-x", "10", "-t", "POST"], None);
}

#[test]
fn slow_readers() {
    withstands(&["-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"], Some("write"));
}
