//! The process, as the system sees it; the names are those of Prometheus' own client libraries.

use std::fs;

use super::Page;

/// Ticks a second in `/proc`: 100 wherever Linux runs.
const TICKS: f64 = 100.0;

pub(super) fn write(page: &mut Page) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may have spaces: what counts begins behind it, with field 3.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    let field = |n: usize| fields.get(n - 3).and_then(|text| text.parse::<f64>().ok());
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse::<f64>().ok()
    };
    let bytes = |name: &str| kibibytes(name).map(|n| n * 1024.0);
    if let (Some(user), Some(system)) = (field(14), field(15)) {
        let (name, help) = ("process_cpu_seconds_total", "Processor time, user and system.");
        page.counter(name, help, &[("", (user + system) / TICKS)]);
    }
    let started = field(22).zip(booted()).map(|(ticks, booted)| booted + ticks / TICKS);
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory in use.", bytes("VmRSS")),
        ("process_virtual_memory_bytes", "Addresses in use.", bytes("VmSize")),
        ("process_threads", "Threads.", field(20)),
        ("process_open_fds", "Open file descriptors.", open_files()),
        ("process_max_fds", "The most that may be open.", most_files()),
        ("process_start_time_seconds", "When the process started.", started),
    ] {
        if let Some(value) = value {
            page.gauge(name, help, &[("", value)]);
        }
    }
}

/// Seconds since 1970.
fn booted() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn open_files() -> Option<f64> {
    // Less the one that reads.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as f64 - 1.0).max(0.0))
}

fn most_files() -> Option<f64> {
    rlimit::Resource::NOFILE.get().ok().map(|(soft, _)| soft as f64)
}
