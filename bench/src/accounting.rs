//! What a contender's processes used, from `/proc`.
//!
//! Processor time comes from each thread's `schedstat`, in nanoseconds. A
//! thread that ended takes its figure along, so the process's own `stat`, which
//! remembers it in ticks, is read too and wins where it knows of clearly more.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// A tick of `stat`. The kernel reports in `USER_HZ`, 100 on every
/// architecture that Linux is used on today.
const TICK: Duration = Duration::from_millis(10);

/// Where `stat` may exceed `schedstat` by rounding alone: two fields, at both
/// ends of the interval, and a margin for time not yet booked.
const ROUNDING: Duration = Duration::from_millis(50);

/// Fields of `/proc/PID/stat` that we use.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    group: u32,
    ticks: u64,
}

/// Processor time that the processes of some groups have used so far.
#[derive(Debug, Default)]
pub(crate) struct CpuSample(HashMap<u32, ProcessSample>);

#[derive(Debug, Default)]
struct ProcessSample {
    ticks: u64,
    /// Nanoseconds by thread; empty where the kernel does not tell.
    threads: HashMap<u32, u64>,
}

/// The living processes of a group.
pub(crate) fn members(group: u32) -> Vec<u32> {
    numbers_in("/proc")
        .filter(|&process| {
            stat(process)
                .is_some_and(|stat| stat.group == group && !matches!(stat.state, 'Z' | 'X'))
        })
        .collect()
}

fn members_of(groups: &[u32]) -> impl Iterator<Item = u32> {
    groups.iter().flat_map(|&group| members(group))
}

impl CpuSample {
    /// Reads what the groups have used so far.
    pub(crate) fn read(groups: &[u32]) -> Self {
        let read = |process| {
            let threads = numbers_in(&format!("/proc/{process}/task"))
                .filter_map(|thread| {
                    let path = format!("/proc/{process}/task/{thread}/schedstat");
                    Some((thread, parse_schedstat(&fs::read_to_string(path).ok()?)?))
                })
                .collect();
            let ticks = stat(process)?.ticks;
            Some((process, ProcessSample { ticks, threads }))
        };
        Self(members_of(groups).filter_map(read).collect())
    }

    /// What was used since `earlier`. A process that ended in between is lost.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let none = ProcessSample::default();
        self.0.iter().map(|(process, now)| now.since(earlier.0.get(process).unwrap_or(&none))).sum()
    }
}

impl ProcessSample {
    fn since(&self, earlier: &Self) -> Duration {
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        let coarse = TICK * u32::try_from(ticks).unwrap_or(u32::MAX);
        let fine = self
            .threads
            .iter()
            .map(|(thread, now)| now.saturating_sub(*earlier.threads.get(thread).unwrap_or(&0)))
            .sum();
        let fine = Duration::from_nanos(fine);
        if self.threads.is_empty() || coarse > fine + ROUNDING { coarse } else { fine }
    }
}

/// Starts the memory peaks of the groups again from what is in use now, where
/// the system lets us.
pub(crate) fn reset_peak_memory(groups: &[u32]) {
    for process in members_of(groups) {
        let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
    }
}

/// The sum of the processes' peaks of resident memory, in bytes. A page that
/// processes share counts in each.
pub(crate) fn peak_memory(groups: &[u32]) -> u64 {
    members_of(groups)
        .filter_map(|process| {
            parse_peak(&fs::read_to_string(format!("/proc/{process}/status")).ok()?)
        })
        .sum()
}

fn numbers_in(directory: &str) -> impl Iterator<Item = u32> + use<> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn stat(process: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// The program's name stands in parentheses and may hold spaces and more
/// parentheses: the fields begin after the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        group: u32::try_from(number(2)?).ok()?,
        ticks: number(11)? + number(12)?,
    })
}

/// Time on a processor, time waiting for one, number of turns. All zero where
/// the kernel does not count.
fn parse_schedstat(text: &str) -> Option<u64> {
    let fields: Vec<u64> =
        text.split_ascii_whitespace().map(|field| field.parse().ok()).collect::<Option<_>>()?;
    match fields[..] {
        [_, _, 0] => None,
        [running, _, _] => Some(running),
        _ => None,
    }
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_after_the_last_parenthesis() {
        let text = "4242 (a) b (c)) S 1 4240 4240 0 -1 4194304 100 0 0 0 \
                    731 269 5 6 20 0 3 0 1000 1000000 500 18446744073709551615";
        assert_eq!(parse_stat(text), Some(Stat { state: 'S', group: 4240, ticks: 1000 }));
        for broken in ["", "4242 (x) S 1", "4242 (x", "4242 (x) S 1 y 0 0 0 0 0 0 0 0 0 1 1"] {
            assert_eq!(parse_stat(broken), None, "{broken}");
        }
    }

    #[test]
    fn schedstat_gives_the_time_on_a_processor() {
        assert_eq!(parse_schedstat("614800 77 3\n"), Some(614_800));
        // No turns at all: the kernel was built without the counters.
        assert_eq!(parse_schedstat("0 0 0\n"), None);
        assert_eq!(parse_schedstat("614800 77\n"), None);
        assert_eq!(parse_schedstat("a b c\n"), None);
    }

    #[test]
    fn the_peak_is_in_bytes() {
        let status = "Name:\tx\nVmPeak:\t  9999 kB\nVmHWM:\t    1536 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(parse_peak(status), Some(1536 * 1024));
        assert_eq!(parse_peak("Name:\tkthread\n"), None);
    }

    fn sample(ticks: u64, threads: &[(u32, u64)]) -> CpuSample {
        let threads = threads.iter().copied().collect();
        CpuSample(HashMap::from([(7, ProcessSample { ticks, threads })]))
    }

    #[test]
    fn threads_count_from_where_they_stood_and_new_ones_in_full() {
        let before = sample(100, &[(7, 1_000_000_000)]);
        let after = sample(103, &[(7, 1_020_000_123), (8, 10_000_000)]);
        assert_eq!(after.since(&before), Duration::from_nanos(30_000_123));
        assert_eq!(after.since(&CpuSample::default()), Duration::from_nanos(1_030_000_123));
    }

    #[test]
    fn ticks_speak_for_threads_that_ended_and_for_old_kernels() {
        let before = sample(100, &[(7, 1_000_000_000), (8, 5)]);
        let after = sample(120, &[(7, 1_010_000_000)]);
        assert_eq!(after.since(&before), Duration::from_millis(200));
        assert_eq!(sample(103, &[]).since(&sample(100, &[])), TICK * 3);
    }

    #[test]
    fn a_process_that_is_new_counts_in_full() {
        let mut after = sample(2, &[(7, 20_000_000)]);
        after.0.insert(9, ProcessSample { ticks: 1, threads: HashMap::from([(9, 5_000_000)]) });
        assert_eq!(after.since(&sample(0, &[(7, 0)])), Duration::from_millis(25));
    }
}
