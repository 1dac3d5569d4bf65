//! The origin server that stands behind every contender.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::command_line::Options;
use crate::failure::Failure;
use crate::probe;
use crate::process::Process;
use crate::scenario::{FRESH_SECONDS, Scenario};
use crate::template::fill;
use crate::workdir::{self, Workdir};

/// nginx takes no longer word than 4096 bytes in its configuration.
const LONGEST_RETURN: usize = 2048;

/// The running origin.
#[derive(Debug)]
pub(crate) struct Origin {
    process: Process,
    address: SocketAddr,
    content: String,
}

/// What the origin has seen so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Connections accepted.
    pub(crate) connections: u64,
    /// Requests received.
    pub(crate) requests: u64,
}

impl Origin {
    /// Starts it and waits until it answers.
    pub(crate) async fn start(
        options: &Options,
        workdir: &Workdir,
        nginx: &Path,
    ) -> Result<Self, Failure> {
        let directory = workdir.inner("origin")?;
        let address = probe::free_address()?;
        let content = "x".repeat(options.size.bytes() as usize);
        let answer = if content.len() <= LONGEST_RETURN {
            format!("return 200 {content};")
        } else {
            workdir::write(&directory.join("content"), &content)?;
            format!("root {}; try_files /content =404;", directory.display())
        };
        let answer = match options.scenario {
            Scenario::CacheHit => {
                format!("add_header Cache-Control max-age={FRESH_SECONDS};\n            {answer}")
            }
            _ => answer,
        };
        let configuration = directory.join("nginx.conf");
        let text = fill(
            include_str!("../peers/origin.conf"),
            &[
                ("workers", &options.workers.to_string()),
                ("port", &address.port().to_string()),
                ("answer", &answer),
            ],
        );
        workdir::write(&configuration, &text)?;
        let mut process = Process::start(
            "the origin",
            &mut nginx_command(nginx, &directory, &configuration),
            Stdio::null(),
            &directory,
        )?;
        probe::until_ready(&mut process, address, false, &content).await?;
        Ok(Self { process, address, content })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it answers with.
    pub(crate) fn content(&self) -> &str {
        &self.content
    }

    /// What it has seen so far; asking costs one connection and one request,
    /// which are already counted in the answer.
    pub(crate) async fn seen(&mut self) -> Result<Seen, Failure> {
        self.process.check()?;
        let text = probe::get(self.address, "/origin-status")
            .await
            .map_err(|error| Failure::io("asking the origin what it has seen", &error))?;
        parse(&text).ok_or_else(|| Failure::invalid(format!("an odd status page:\n{text}")))
    }
}

impl Seen {
    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            requests: self.requests + other.requests,
        }
    }

    /// What came in since `earlier`, without our own question.
    pub(crate) fn since(self, earlier: Self) -> Self {
        let count = |now: u64, then: u64| now.saturating_sub(then).saturating_sub(1);
        Self {
            connections: count(self.connections, earlier.connections),
            requests: count(self.requests, earlier.requests),
        }
    }
}

/// The command for an nginx with this prefix and configuration.
pub(crate) fn nginx_command(nginx: &Path, directory: &Path, configuration: &Path) -> Command {
    let mut command = Command::new(nginx);
    command.arg("-p").arg(directory).args(["-e", "stderr", "-c"]).arg(configuration);
    command
}

fn parse(text: &str) -> Option<Seen> {
    let mut lines = text.lines();
    lines.find(|line| line.starts_with("server accepts handled requests"))?;
    let mut numbers = lines.next()?.split_ascii_whitespace().map(str::parse);
    let connections = numbers.next()?.ok()?;
    let requests = numbers.nth(1)?.ok()?;
    Some(Seen { connections, requests })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_page_is_read_and_our_own_question_left_out() {
        let text = "HTTP/1.1 200 OK\r\n\r\nActive connections: 535 \n\
                    server accepts handled requests\n 908 907 1467152 \nReading: 0 Writing: 1\n";
        let seen = parse(text).unwrap();
        assert_eq!(seen, Seen { connections: 908, requests: 1_467_152 });
        let earlier = Seen { connections: 900, requests: 1_467_000 };
        assert_eq!(seen.since(earlier), Seen { connections: 7, requests: 151 });
        assert_eq!(parse("HTTP/1.1 404 Not Found\r\n\r\n"), None);
    }
}
