//! What a process has: descriptors, and processes below it. Told in words, for where there are more
//! than before.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use proxyd_tests::processes::{Process, descendants};
use proxyd_tests::waiting::PATIENCE;

/// Descriptors, each by what it leads to, and processes.
#[derive(Debug, Default)]
pub(crate) struct Belongings {
    descriptors: Vec<String>,
    processes: Vec<Process>,
}

/// An address as the kernel writes it, in hexadecimal; only the port tells anything here.
fn port(text: &str) -> u16 {
    let port = text.rsplit(':').next().unwrap_or_default();
    u16::from_str_radix(port, 16).unwrap_or(0)
}

/// The TCP sockets that this process sees, by their number.
fn sockets(pid: u32) -> HashMap<String, String> {
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, state, _, _, _, _, _, number, ..] = fields[..] else { return None };
        let told = format!("TCP {} to {}, state {state}", port(local), port(remote));
        Some((number.to_owned(), told))
    };
    table.lines().skip(1).filter_map(line).collect()
}

impl Belongings {
    /// Those of now.
    pub(crate) fn of(pid: u32) -> Self {
        let sockets = sockets(pid);
        let entries = fs::read_dir(format!("/proc/{pid}/fd"));
        let links = entries.into_iter().flatten().flatten().filter_map(|entry| {
            let link = fs::read_link(entry.path()).ok()?.display().to_string();
            let number = link.strip_prefix("socket:[").and_then(|own| own.strip_suffix(']'));
            Some(number.and_then(|number| sockets.get(number).cloned()).unwrap_or(link))
        });
        let mut descriptors: Vec<String> = links.collect();
        descriptors.sort();
        Self { descriptors, processes: descendants(pid) }
    }

    /// The fewest within some seconds: connections that nobody uses are closed, and checks of
    /// endpoints come and go.
    pub(crate) fn at_rest(pid: u32) -> Self {
        let until = Instant::now() + Duration::from_secs(5);
        let mut fewest = Self::of(pid);
        while Instant::now() < until {
            let now = Self::of(pid);
            if now.descriptors.len() <= fewest.descriptors.len() {
                fewest = now;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        fewest
    }

    /// How many descriptors.
    pub(crate) fn open(&self) -> usize {
        self.descriptors.len()
    }

    /// The processes, and the one that they belong to.
    pub(crate) fn pids(&self, pid: u32) -> Vec<u32> {
        self.processes.iter().map(|own| own.pid).chain([pid]).collect()
    }

    /// Waits until there is nothing more than this.
    pub(crate) fn wait_no_more(&self, pid: u32) -> Self {
        let due = Instant::now() + PATIENCE * 3;
        loop {
            let now = Self::of(pid);
            if now.open() <= self.open() && now.processes == self.processes {
                return now;
            }
            assert!(Instant::now() < due, "more than before: {now:#?}\nbefore: {self:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
