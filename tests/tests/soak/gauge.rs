//! Resident memory of a process over time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So long after the beginning everything has its size.
const SETTLED: Duration = Duration::from_secs(60);
/// What is compared is the median of so many samples, a second apart: single ones tell which large
/// response was just under way.
const SAMPLES: usize = 20;

/// A thread that looks once a second.
pub(crate) struct Gauge {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(Duration, u64)>>,
}

/// What it saw.
pub(crate) struct Memory {
    samples: Vec<(Duration, u64)>,
}

/// Resident memory in KiB.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

impl Gauge {
    pub(crate) fn start(pid: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let begun = Instant::now();
            let mut samples = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                samples.extend(resident(pid).map(|size| (begun.elapsed(), size)));
                std::thread::sleep(Duration::from_secs(1));
            }
            samples
        });
        Self { over, thread }
    }

    pub(crate) fn stop(self) -> Memory {
        self.over.store(true, Ordering::Relaxed);
        Memory { samples: self.thread.join().expect("the gauge") }
    }
}

impl Memory {
    /// The median of the samples that end with the first minute, and of the last ones.
    fn ends(&self) -> Option<(u64, u64)> {
        let first = self.samples.iter().position(|(at, _)| *at >= SETTLED)?;
        // Shorter runs have no two ends.
        let last = self.samples.len().checked_sub(SAMPLES).filter(|last| *last >= first)?;
        let median = |samples: &[(Duration, u64)]| {
            let mut sizes: Vec<u64> = samples.iter().map(|(_, size)| *size).collect();
            sizes.sort_unstable();
            sizes[sizes.len() / 2]
        };
        Some((
            median(&self.samples[first.saturating_sub(SAMPLES)..first]),
            median(&self.samples[last..]),
        ))
    }

    /// At most 5 % more than after the first minute. Less than five minutes may be 10 %: then there
    /// are few samples, and on a slow machine the first minute is not over with settling.
    pub(crate) fn judge(&self) {
        if let Some((first, last)) = self.ends() {
            let more = if self.samples.len() < 300 { 10 } else { 5 };
            assert!(last * 100 <= first * (100 + more), "{self}");
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((first, last)) = self.ends() {
            write!(f, "{first} KiB resident after the first minute, {last} KiB at the end; ")?;
        }
        write!(f, "every tenth sample:")?;
        self.samples.iter().step_by(10).try_for_each(|(_, size)| write!(f, " {size}"))
    }
}
