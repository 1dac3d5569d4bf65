//! The contenders, and how each is put in front of the origin.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::command_line::Options;
use crate::failure::Failure;
use crate::origin::{Origin, nginx_command};
use crate::probe;
use crate::process::Process;
use crate::workdir::{self, Workdir};

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Contender {
    /// nginx: what the others are compared with
    Nginx,
    /// A second nginx with the same settings: how far apart equals come out
    NginxAgain,
    /// HAProxy
    Haproxy,
    /// proxyd
    Proxyd,
    /// A raw byte relay without any HTTP: the floor
    Relay,
}

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    /// nginx, also the origin.
    pub(crate) nginx: PathBuf,
    /// HAProxy, when it takes part.
    pub(crate) haproxy: Option<PathBuf>,
    /// proxyd, when it takes part.
    pub(crate) proxyd: Option<PathBuf>,
}

/// A contender that answers.
#[derive(Debug)]
pub(crate) struct Running {
    /// Which one.
    pub(crate) contender: Contender,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    process: Process,
    log: Option<PathBuf>,
    logged: u64,
}

impl Contender {
    /// All, in the order of the table.
    pub(crate) const ALL: [Self; 5] =
        [Self::Nginx, Self::NginxAgain, Self::Haproxy, Self::Proxyd, Self::Relay];

    /// The name in tables, charts and directories.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::NginxAgain => "nginx again",
            Self::Haproxy => "HAProxy",
            Self::Proxyd => "proxyd",
            Self::Relay => "raw relay",
        }
    }

    /// Starts it in front of the origin and waits until it answers.
    pub(crate) async fn start(
        self,
        options: &Options,
        programs: &Programs,
        origin: &Origin,
        workdir: &Workdir,
    ) -> Result<Running, Failure> {
        let directory = workdir.inner(&self.name().replace(' ', "-"))?;
        let log = (!options.no_log && self != Self::Relay).then(|| directory.join("access.log"));
        let address = probe::free_address()?;
        let place = Place {
            options,
            programs,
            origin: origin.address(),
            address,
            directory: &directory,
            log: log.as_deref(),
        };
        let (mut command, stdout) = match self {
            Self::Nginx | Self::NginxAgain => (place.nginx()?, Stdio::null()),
            Self::Haproxy => (place.haproxy()?, place.log_as_stdout()?),
            Self::Proxyd => (place.proxyd()?, Stdio::null()),
            Self::Relay => (place.relay()?, Stdio::null()),
        };
        let mut process = Process::start(self.name(), &mut command, stdout, &directory)?;
        probe::until_ready(&mut process, address, origin.content()).await?;
        Ok(Running { contender: self, address, process, log, logged: 0 })
    }
}

/// What a contender needs to know to be started.
struct Place<'a> {
    options: &'a Options,
    programs: &'a Programs,
    origin: SocketAddr,
    address: SocketAddr,
    directory: &'a Path,
    log: Option<&'a Path>,
}

impl Place<'_> {
    fn configure(&self, name: &str, template: &str) -> Result<PathBuf, Failure> {
        let access_log = self.log.map_or_else(
            || "off".to_owned(),
            |path| format!("{} combined buffer=64k flush=1s", path.display()),
        );
        let template = with_log_lines(template, self.log.is_some());
        let text = fill(
            &template,
            &[
                ("workers", &self.options.workers.to_string()),
                ("port", &self.address.port().to_string()),
                ("origin", &self.origin.port().to_string()),
                ("access_log", &access_log),
            ],
        );
        let path = self.directory.join(name);
        workdir::write(&path, &text)?;
        Ok(path)
    }

    fn nginx(&self) -> Result<Command, Failure> {
        let path = self.configure("nginx.conf", include_str!("../peers/nginx.conf"))?;
        Ok(nginx_command(&self.programs.nginx, self.directory, &path))
    }

    fn haproxy(&self) -> Result<Command, Failure> {
        let path = self.configure("haproxy.conf", include_str!("../peers/haproxy.conf"))?;
        let mut command = Command::new(required(self.programs.haproxy.as_ref(), "HAProxy")?);
        command.args(["-db", "-f"]).arg(path);
        Ok(command)
    }

    fn log_as_stdout(&self) -> Result<Stdio, Failure> {
        let Some(path) = self.log else {
            return Ok(Stdio::null());
        };
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map(Stdio::from)
            .map_err(|error| Failure::io(format!("opening {}", path.display()), &error))
    }

    fn proxyd(&self) -> Result<Command, Failure> {
        let mut command = Command::new(required(self.programs.proxyd.as_ref(), "proxyd")?);
        // Settings of the caller's environment would measure something else.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PROXYD_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.directory)
            .arg("reverse")
            .args(["--listen", &self.address.to_string()])
            .args(["--to", &format!("http://{}", self.origin)])
            .arg("--access-log")
            .arg(self.log.unwrap_or(Path::new("off")))
            .args(["--admin", "off"])
            .args(["--workers", &self.options.workers.to_string()]);
        Ok(command)
    }

    fn relay(&self) -> Result<Command, Failure> {
        let ourselves = std::env::current_exe()
            .map_err(|error| Failure::io("looking for our own program", &error))?;
        let mut command = Command::new(ourselves);
        command
            .arg("relay")
            .args(["--listen", &self.address.to_string()])
            .args(["--to", &self.origin.to_string()])
            .args(["--workers", &self.options.workers.to_string()]);
        Ok(command)
    }
}

impl Running {
    /// The process group, for accounting.
    pub(crate) fn group(&self) -> u32 {
        self.process.group()
    }

    /// An error when it is gone, with its last words.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        self.process.check()
    }

    /// Its last words, for a message about something else that went wrong.
    pub(crate) fn complaints(&self) -> String {
        self.process.complaints()
    }

    /// Counts the lines of the access log so far and empties it. `None`
    /// without a log.
    pub(crate) fn logged(&mut self) -> Result<Option<u64>, Failure> {
        let Some(path) = &self.log else {
            return Ok(None);
        };
        self.logged += take_lines(path)
            .map_err(|error| Failure::io(format!("reading {}", path.display()), &error))?;
        Ok(Some(self.logged))
    }
}

/// Replaces each `{{name}}`.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let filled = values.iter().fold(template.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{{{name}}}}}"), value)
    });
    debug_assert!(!filled.contains("{{"), "a name is left:\n{filled}");
    filled
}

/// Keeps or leaves out the lines that end in `#@log`.
fn with_log_lines(template: &str, log: bool) -> String {
    template
        .lines()
        .filter_map(|line| match line.strip_suffix("#@log") {
            Some(line) => log.then(|| line.trim_end()),
            None => Some(line),
        })
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn required<'a>(path: Option<&'a PathBuf>, name: &str) -> Result<&'a PathBuf, Failure> {
    path.ok_or_else(|| Failure::invalid(format!("{name} has not been found")))
}

fn take_lines(path: &Path) -> io::Result<u64> {
    if !fs::exists(path)? {
        return Ok(0);
    }
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    let mut lines = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        lines += buffer[..count].iter().filter(|&&byte| byte == b'\n').count() as u64;
    }
    OpenOptions::new().write(true).open(path)?.set_len(0)?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [(&str, &str); 5] = [
        ("workers", "3"),
        ("port", "8080"),
        ("origin", "9090"),
        ("access_log", "off"),
        ("answer", "return 200 x;"),
    ];

    #[test]
    fn every_template_is_filled_completely() {
        for template in [
            include_str!("../peers/origin.conf"),
            include_str!("../peers/nginx.conf"),
            include_str!("../peers/haproxy.conf"),
        ] {
            for log in [true, false] {
                let text = fill(&with_log_lines(template, log), &VALUES);
                assert!(!text.contains("{{") && !text.contains("#@log\n"), "{text}");
                assert!(text.contains("127.0.0.1:8080"), "{text}");
            }
        }
    }

    #[test]
    fn without_a_log_nothing_speaks_of_one() {
        let text = with_log_lines(include_str!("../peers/haproxy.conf"), false);
        let speaks = |line: &&str| !line.starts_with('#') && line.contains("log");
        assert_eq!(text.lines().find(speaks), None);
    }

    #[test]
    fn lines_are_counted_once() {
        let workdir = Workdir::create("proxyd-bench-log").unwrap();
        let path = workdir.inner("log").unwrap().join("access.log");
        assert_eq!(take_lines(&path).unwrap(), 0);
        fs::write(&path, "a\nb\nc").unwrap();
        assert_eq!(take_lines(&path).unwrap(), 2);
        assert_eq!(take_lines(&path).unwrap(), 0);
    }
}
