//! A program that we started, and that ends when we drop it.
//!
//! Each program leads a process group of its own, so that its workers can be
//! found and ended with it, and a Ctrl-C at the terminal reaches only us: we
//! end the others in order.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::accounting;
use crate::failure::Failure;

/// How long a program has to leave before it is killed.
const PATIENCE: Duration = Duration::from_secs(3);

/// A running program with its workers.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    complaints: PathBuf,
}

impl Process {
    /// Starts a program. What it says on standard error is kept in `directory`
    /// for [`Process::complaints`].
    pub(crate) fn start(
        name: &str,
        command: &mut Command,
        stdout: Stdio,
        directory: &Path,
    ) -> Result<Self, Failure> {
        let failed = |error| Failure::io(format!("starting {name}"), &error);
        let complaints = directory.join("stderr");
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(File::create(&complaints).map_err(failed)?)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        Ok(Self { name: name.to_owned(), child, complaints })
    }

    /// What we call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The group's id, which is the leader's process id.
    pub(crate) fn group(&self) -> u32 {
        self.child.id()
    }

    /// An error when the program is no longer there.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.left(status)),
            Err(error) => Err(Failure::io(format!("waiting for {}", self.name), &error)),
        }
    }

    fn left(&self, status: ExitStatus) -> Failure {
        Failure::invalid(format!("{} ended on its own ({status}){}", self.name, self.complaints()))
    }

    /// The last lines that it wrote to standard error, for a message.
    pub(crate) fn complaints(&self) -> String {
        let text = fs::read_to_string(&self.complaints).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].iter().map(|line| format!("\n    {line}")).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = self.group();
        if matches!(self.child.try_wait(), Ok(None)) {
            signal("TERM", &format!("-{group}"));
            let deadline = Instant::now() + PATIENCE;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
        }
        // Those that did not leave: the leader, or workers that it left behind.
        for member in accounting::members(group) {
            signal("KILL", &member.to_string());
        }
        let _ = self.child.wait();
    }
}

/// The shell's own `kill`, because the standard library has only SIGKILL, for
/// one process.
fn signal(name: &str, whom: &str) {
    let _ = Command::new("/bin/sh")
        .args(["-c", r#"kill -s "$1" -- "$2""#, "kill", name, whom])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workdir::Workdir;

    fn shell(script: &str, workdir: &Workdir) -> Process {
        let directory = workdir.inner("shell").unwrap();
        Process::start(
            "the shell",
            Command::new("/bin/sh").args(["-c", script]),
            Stdio::null(),
            &directory,
        )
        .unwrap()
    }

    fn wait_for_members(group: u32, wanted: impl Fn(usize) -> bool) {
        while !wanted(accounting::members(group).len()) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn workers_end_with_their_leader() {
        let workdir = Workdir::create("proxyd-bench-workers").unwrap();
        let process = shell("sleep 1000 & sleep 1000", &workdir);
        let group = process.group();
        wait_for_members(group, |count| count == 3);
        drop(process);
        // The system takes a moment to be done with them; it never is if one goes on.
        wait_for_members(group, |count| count == 0);
    }

    #[test]
    fn workers_that_a_dead_leader_left_are_ended() {
        let workdir = Workdir::create("proxyd-bench-orphans").unwrap();
        let mut process = shell("sleep 1000 & echo so long >&2; exit 3", &workdir);
        let group = process.group();
        while process.check().is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
        let words = process.check().unwrap_err().to_string();
        assert!(words.contains("so long") && words.contains('3'), "{words}");
        wait_for_members(group, |count| count == 1);
        drop(process);
        wait_for_members(group, |count| count == 0);
    }
}
