//! What a million names cost: time to load, memory, time to look one up, and what a request pays
//! for the list and ten rules.
//!
//! ```text
//! cargo run --release -p proxy-filter --example domain_lists [FILE]
//! ```
//!
//! Without a file, a list is made of names of 8 to 40 characters that have little in common.

#![allow(clippy::print_stdout, reason = "a report")]

mod filter;

use std::hint::black_box;
use std::time::{Duration, Instant};

use proxy_filter::domains::DomainList;

const NAMES: usize = 1_000_000;
const RUNS: usize = 400;

/// A cheap sequence that never repeats here.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    fn label(&mut self, least: u64, most: u64) -> String {
        let len = least + self.next(most - least + 1);
        let letter = |random: &mut Self| {
            char::from(b"abcdefghijklmnopqrstuvwxyz0123456789-"[random.next(36) as usize])
        };
        let middle: String = (0..len).map(|_| letter(self)).collect();
        format!("x{middle}")
    }

    fn name(&mut self) -> String {
        const ENDS: [&str; 8] = ["com", "net", "org", "info", "de", "co.uk", "ru", "xyz"];
        let end = ENDS[self.next(8) as usize];
        match self.next(3) {
            0 => format!("{}.{}.{end}", self.label(1, 8), self.label(4, 14)),
            _ => format!("{}.{end}", self.label(4, 16)),
        }
    }
}

/// Time that this process had a processor for, where the system tells.
fn on_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let path = match std::env::args().nth(1) {
        Some(path) => path.into(),
        None => {
            let path = std::env::temp_dir().join("proxyd-million-names.txt");
            let names: Vec<String> = (0..NAMES).map(|_| random.name()).collect();
            std::fs::write(&path, names.join("\n"))?;
            path
        }
    };
    let before = resident_kib();
    let start = on_cpu();
    let list = DomainList::open(&path)?;
    let loaded = on_cpu().saturating_sub(start);
    let after = resident_kib();
    println!("names            {}", list.names.len());
    println!("loaded in        {} ms of a processor", loaded.as_millis());
    println!("in memory        {} KiB", list.names.size() / 1024);
    println!("resident         {} KiB more", after.saturating_sub(before));

    let text = std::fs::read_to_string(&path)?;
    let all: Vec<&str> = text.lines().collect();
    let mut pick = |below: &dyn Fn(&str) -> String| -> Vec<String> {
        (0..4096).map(|_| below(all[random.next(all.len() as u64) as usize])).collect()
    };
    let hits = pick(&|name| name.to_owned());
    let below = pick(&|name| format!("www.cdn.{name}"));
    let misses = pick(&|name| format!("www.{}z.test", &name[..name.len() - 1]));
    let near = pick(&|name| format!("q{name}"));
    for (what, hosts) in [("hit", hits), ("below", below), ("miss", misses), ("near miss", near)] {
        // The shortest of many short runs is what it costs where nothing interrupts it.
        let (mut best, mut found) = (Duration::MAX, 0);
        for _ in 0..RUNS {
            let start = Instant::now();
            found = hosts
                .iter()
                .filter(|host| list.names.longest(black_box(host.as_str())).is_some())
                .count();
            best = best.min(start.elapsed());
        }
        let each = best.as_nanos() / hosts.len() as u128;
        println!("{what:<16} {each} ns ({} % found)", found * 100 / hosts.len());
    }
    println!("list, ten rules  {:.0} ns more for a request", filter::cost(list));
    Ok(())
}
