//! Who has lost its parent below the warden and is in no group of a run: a program that left its
//! group, and would stay when its run ends.
//!
//! The kernel gives them to the warden, and does not say so. Where it has the list of a process's
//! children it is cheap to look; where it has not, all of `/proc` is read, and not often.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid};

/// The least time between two looks while runs are under way.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);
/// The time between looks while nothing happens, and runs are under way.
const IDLE_INTERVAL: Duration = Duration::from_secs(2);
/// The time until the next look after somebody was killed: its children are orphans now.
const AGAIN: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
pub(super) struct Orphans {
    last: Option<Instant>,
    next: Option<Instant>,
}

impl Orphans {
    /// When to look next.
    pub(super) const fn next_look(&self) -> Option<Instant> {
        self.next
    }

    /// Whether anybody may be there still.
    pub(super) const fn may_be_there(&self) -> bool {
        self.next.is_some()
    }

    /// Looks at the next occasion.
    pub(super) fn look_now(&mut self) {
        self.next = Some(Instant::now());
    }

    /// A run has ended, or the last one.
    pub(super) fn a_run_ended(&mut self, was_last: bool) {
        let now = Instant::now();
        let soonest = match self.last {
            Some(last) if !was_last => (last + LEAST_INTERVAL).max(now),
            _ => now,
        };
        self.next = Some(self.next.map_or(soonest, |next| next.min(soonest)));
    }

    /// Kills whoever is there, and tells how many. `runs`: whether any run is under way. `known`
    /// tells the group of one.
    pub(super) fn look(&mut self, now: Instant, runs: bool, known: impl Fn(i32) -> bool) -> u32 {
        match self.next {
            None if runs => {
                self.next = Some(now + IDLE_INTERVAL);
                return 0;
            }
            Some(next) if next <= now => {}
            _ => return 0,
        }
        // Without runs every child is an orphan, and mostly there is none at all.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let childless = !runs
            && matches!(
                rustix::process::waitid(WaitId::All, options),
                Err(rustix::io::Errno::CHILD)
            );
        if childless {
            self.next = None;
            return 0;
        }
        self.last = Some(now);
        let mut killed = 0;
        let (mut found, mut stays) = (false, false);
        for child in children() {
            if known(child.pid) || (known(child.group) && !child.is_dead) {
                continue;
            }
            let Some(pid) = Pid::from_raw(child.pid) else { continue };
            if !child.is_dead {
                let sent = rustix::process::kill_process(pid, Signal::KILL).is_ok();
                killed += u32::from(sent);
                found |= sent;
                stays |= !sent;
            }
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            let _ = rustix::process::waitid(WaitId::Pid(pid), options);
        }
        self.next = match (found, runs || stays) {
            (true, _) => Some(now + AGAIN),
            (false, true) => Some(now + IDLE_INTERVAL),
            (false, false) => None,
        };
        killed
    }
}

/// A child of this process.
pub(super) struct Child {
    pub(super) pid: i32,
    group: i32,
    is_dead: bool,
}

pub(super) fn children() -> Vec<Child> {
    let own = getpid().as_raw_nonzero().get();
    let listed = fs::read_to_string(format!("/proc/self/task/{own}/children"));
    let stat = |pid: i32| {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let (parent, child) = read_stat(pid, &text)?;
        (parent == own).then_some(child)
    };
    match listed {
        Ok(list) => list.split_whitespace().filter_map(|pid| stat(pid.parse().ok()?)).collect(),
        Err(_) => fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| stat(entry.ok()?.file_name().to_str()?.parse().ok()?))
            .collect(),
    }
}

/// The parent, and what is known of a process. Its name stands in brackets and may hold any byte.
fn read_stat(pid: i32, text: &[u8]) -> Option<(i32, Child)> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some((parent, Child { pid, group, is_dead: matches!(state, "Z" | "X") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_no_obstacle() {
        let (parent, child) = read_stat(7, b"7 (a) S 1 (x) Z 12 34 34 0 -1 0").unwrap();
        assert_eq!((parent, child.group, child.is_dead), (12, 34, true));
        assert!(read_stat(7, b"7 (a").is_none());
    }
}
