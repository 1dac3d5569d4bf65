//! What was measured where: versions and the machine, for the report.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;

use serde::Serialize;
use tokio::process::Command;

use crate::contenders::Programs;

/// The machine and the versions.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Environment {
    /// The processor's model.
    pub(crate) processor: String,
    /// Logical processors that we may use.
    pub(crate) processors: usize,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// The load average of a minute before the first round: what else ran.
    pub(crate) load_average: String,
    /// A line for each program that took part.
    pub(crate) versions: Vec<String>,
}

impl Environment {
    /// Looks around.
    pub(crate) async fn look(programs: &Programs) -> Self {
        let mut versions = vec![first_line(&programs.nginx, "-v").await];
        if let Some(haproxy) = &programs.haproxy {
            versions.push(first_line(haproxy, "-v").await);
        }
        if let Some(varnish) = &programs.varnish {
            versions.push(first_line(&varnish.varnishd, "-V").await);
        }
        if let Some(proxyd) = &programs.proxyd {
            versions.push(first_line(proxyd, "--version").await);
        }
        versions.push(first_line(Path::new("wrk"), "-v").await);
        Self {
            processor: processor().unwrap_or_else(|| "unknown".to_owned()),
            processors: thread::available_parallelism().map_or(0, Into::into),
            kernel: first_word("/proc/sys/kernel/osrelease"),
            load_average: first_word("/proc/loadavg"),
            versions,
        }
    }
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn first_word(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// Programs answer on either stream, some with a failure.
async fn first_line(program: &Path, argument: &str) -> String {
    let output =
        Command::new(program).arg(argument).stdin(Stdio::null()).kill_on_drop(true).output().await;
    let text = output.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    );
    tidy(&text)
}

/// `nginx version: nginx/1.22.1`, `wrk debian/4.1.0 [epoll] Copyright ...` and
/// `varnishd (varnish-7.1.1 revision ...)`, without what says nothing.
fn tidy(text: &str) -> String {
    let line = text.lines().next().unwrap_or("unknown").trim();
    let line = line.strip_prefix("nginx version: ").unwrap_or(line);
    if let Some((_, version)) = line.split_once("varnishd (") {
        return version.split([' ', ')']).next().unwrap_or(version).to_owned();
    }
    let end = [" Copyright", " - https:"].iter().filter_map(|noise| line.find(noise)).min();
    line[..end.unwrap_or(line.len())].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_short() {
        assert_eq!(tidy("nginx version: nginx/1.22.1\n"), "nginx/1.22.1");
        assert_eq!(
            tidy("wrk debian/4.1.0-3 [epoll] Copyright (C) 2012 Will Glozer\nUsage\n"),
            "wrk debian/4.1.0-3 [epoll]"
        );
        assert_eq!(
            tidy("HAProxy version 2.6.12-1 2023/12/16 - https://haproxy.org/\nStatus: x\n"),
            "HAProxy version 2.6.12-1 2023/12/16"
        );
        assert_eq!(
            tidy("varnishd (varnish-7.1.1 revision 7cee1c581bea)\nCopyright\n"),
            "varnish-7.1.1"
        );
        assert_eq!(tidy(""), "unknown");
    }
}
