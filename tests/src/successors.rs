//! The processes that follow each other in an upgrade in place.

use std::process::Command;

use crate::processes;
use crate::proxyd::{Launch, Proxyd};
use crate::{ports, waiting};

/// All processes of one proxy, those that took over from each other included; killed on drop.
pub struct Successors {
    mark: String,
}

impl Successors {
    /// Marks the processes of a proxy that is yet to be started.
    #[must_use]
    pub fn mark(launch: Launch) -> (Launch, Self) {
        let value = format!("successor-{}-{}", std::process::id(), ports::free().port());
        let mark = format!("PROXYD_TESTS_MARK={value}");
        (launch.env("PROXYD_TESTS_MARK", &value), Self { mark })
    }

    /// Upgrades the process with this number, and waits for the one that takes over.
    #[must_use]
    pub fn upgrade(&self, proxy: &Proxyd, pid: u32) -> u32 {
        let before = serving(proxy).len();
        signal(pid, "USR2");
        waiting::until("another process serves", || serving(proxy).get(before).copied())
    }

    /// The numbers of all of them, of their wardens and programs too.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        processes::with_environment(&self.mark)
    }

    /// Waits until a process has ended. Its parent may be the one that it took over from, or a
    /// parent that asks nothing: then it stays as a zombie.
    pub fn wait_end(&self, pid: u32) {
        waiting::until("the process before has ended", || {
            let all = processes::all();
            let there = all.iter().any(|own| own.pid == pid && !own.is_zombie);
            (!there).then_some(())
        });
    }
}

impl Drop for Successors {
    fn drop(&mut self) {
        for pid in processes::with_environment(&self.mark) {
            // Fails where it has just ended.
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
    }
}

/// Sends a signal, such as `USR2`, to a process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status();
    assert!(status.expect("kill can be started").success(), "kill -{name} {pid}");
}

/// The processes that took over, in order, as those before them say.
fn serving(proxy: &Proxyd) -> Vec<u32> {
    let text = proxy.stderr();
    let lines = text.lines().filter(|line| line.contains("another process serves"));
    lines
        .filter_map(|line| {
            let number = line.rsplit('=').next()?;
            let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        })
        .collect()
}
