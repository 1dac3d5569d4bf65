//! The contenders, and how each is put in front of the origin.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::certificate::Certificate;
use crate::command_line::Options;
use crate::failure::Failure;
use crate::origin::{Origin, nginx_command};
use crate::probe;
use crate::process::Process;
use crate::template::{fill, with_lines};
use crate::workdir::{self, Workdir};

/// What nginx reads of a file at once.
const NGINX_BUFFER: u32 = 32 * 1024;

/// What each cache may keep, the default of proxyd.
const STORE_MEBIBYTES: &str = "64";

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Contender {
    /// nginx: what the others are compared with
    Nginx,
    /// A second nginx with the same settings: how far apart equals come out
    NginxAgain,
    /// nginx with `open_file_cache`, which makes its hits cheaper
    NginxTuned,
    /// HAProxy
    Haproxy,
    /// Varnish, with varnishncsa for its log
    Varnish,
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
    /// Varnish, when it takes part.
    pub(crate) varnish: Option<Varnish>,
    /// proxyd, when it takes part.
    pub(crate) proxyd: Option<PathBuf>,
}

/// The programs of Varnish.
#[derive(Debug)]
pub(crate) struct Varnish {
    /// The cache.
    pub(crate) varnishd: PathBuf,
    /// The writer of its access log.
    pub(crate) varnishncsa: PathBuf,
}

/// What all contenders are started with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    /// How to measure.
    pub(crate) options: &'a Options,
    /// Where the programs are.
    pub(crate) programs: &'a Programs,
    /// For configurations and logs.
    pub(crate) workdir: &'a Workdir,
    /// Where a cache may keep files, and that it is to be one.
    pub(crate) store: Option<&'a Workdir>,
    /// What to show, and that TLS is to be spoken.
    pub(crate) certificate: Option<&'a Certificate>,
}

/// A contender that answers.
#[derive(Debug)]
pub(crate) struct Running {
    /// Which one.
    pub(crate) contender: Contender,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The program itself, then those that belong to it.
    processes: Vec<Process>,
    log: Option<PathBuf>,
    logged: u64,
}

impl Contender {
    /// All, in the order of every table.
    pub(crate) const ALL: [Self; 7] = [
        Self::Nginx,
        Self::NginxAgain,
        Self::NginxTuned,
        Self::Haproxy,
        Self::Varnish,
        Self::Proxyd,
        Self::Relay,
    ];

    /// The name in tables, charts and directories.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::NginxAgain => "nginx again",
            Self::NginxTuned => "nginx tuned",
            Self::Haproxy => "HAProxy",
            Self::Varnish => "Varnish",
            Self::Proxyd => "proxyd",
            Self::Relay => "raw relay",
        }
    }

    /// Starts it in front of the origin and waits until it answers.
    pub(crate) async fn start(
        self,
        around: &Around<'_>,
        origin: &Origin,
    ) -> Result<Running, Failure> {
        let Around { options, programs, workdir, store, certificate } = *around;
        let name = self.name().replace(' ', "-");
        let directory = workdir.inner(&name)?;
        let store = store.map(|store| store.inner(&name)).transpose()?;
        let log = (!options.no_log && self != Self::Relay).then(|| directory.join("access.log"));
        let address = probe::free_address()?;
        let place = Place {
            options,
            programs,
            origin: origin.address(),
            address,
            directory: &directory,
            log: log.as_deref(),
            store: store.as_deref(),
            certificate,
            tuned: self == Self::NginxTuned,
        };
        let (mut command, stdout) = match self {
            Self::Nginx | Self::NginxAgain | Self::NginxTuned => (place.nginx()?, Stdio::null()),
            Self::Haproxy => (place.haproxy()?, place.log_as_stdout()?),
            Self::Varnish => (place.varnish()?, Stdio::null()),
            Self::Proxyd => (place.proxyd()?, Stdio::null()),
            Self::Relay => (place.relay()?, Stdio::null()),
        };
        let mut process = Process::start(self.name(), &mut command, stdout, &directory)?;
        let over_tls = certificate.is_some();
        probe::until_ready(&mut process, address, over_tls, origin.content()).await?;
        let mut processes = vec![process];
        if self == Self::Varnish
            && let Some(log) = &log
        {
            let directory = workdir.inner("varnishncsa")?;
            let mut command = place.varnishncsa(log)?;
            let mut process =
                Process::start("varnishncsa", &mut command, Stdio::null(), &directory)?;
            probe::until_logged(&mut process, address, log).await?;
            processes.push(process);
        }
        Ok(Running { contender: self, address, processes, log, logged: 0 })
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
    store: Option<&'a Path>,
    certificate: Option<&'a Certificate>,
    tuned: bool,
}

impl Place<'_> {
    fn configure(&self, name: &str, template: &str) -> Result<PathBuf, Failure> {
        let access_log = self.log.map_or_else(
            || "off".to_owned(),
            |path| format!("{} combined buffer=64k flush=1s", path.display()),
        );
        let template = with_lines(template, "#@log", self.log.is_some());
        let template = with_lines(&template, "#@cache", self.store.is_some());
        let template = with_lines(&template, "#@tuned", self.tuned);
        let template = with_lines(&template, "#@tls", self.certificate.is_some());
        let template = with_lines(&template, "#@clear", self.certificate.is_none());
        let sendfile = self.options.size.bytes() > NGINX_BUFFER;
        let store = self.store.map_or_else(String::new, |path| path.display().to_string());
        let of_certificate = |file: fn(&Certificate) -> &PathBuf| {
            self.certificate.map_or_else(String::new, |own| file(own).display().to_string())
        };
        let text = fill(
            &template,
            &[
                ("workers", &self.options.workers.to_string()),
                ("port", &self.address.port().to_string()),
                ("origin", &self.origin.port().to_string()),
                ("access_log", &access_log),
                ("sendfile", if sendfile { "on" } else { "off" }),
                ("store", &store),
                ("store_size", STORE_MEBIBYTES),
                ("certificate", &of_certificate(|own| &own.cert)),
                ("certificate_key", &of_certificate(|own| &own.key)),
                ("certificate_and_key", &of_certificate(|own| &own.both)),
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

    fn varnish(&self) -> Result<Command, Failure> {
        let programs = required(self.programs.varnish.as_ref(), "Varnish")?;
        let rules = self.configure("varnish.vcl", include_str!("../peers/varnish.vcl"))?;
        let mut command = Command::new(&programs.varnishd);
        command
            .args(["-F", "-T", "none"])
            .args(["-a", &self.address.to_string()])
            .arg("-n")
            .arg(self.varnish_name()?)
            .arg("-f")
            .arg(rules)
            .args(["-s", &format!("malloc,{STORE_MEBIBYTES}m")])
            .args(["-p", &format!("thread_pools={}", self.options.workers)]);
        Ok(command)
    }

    fn varnishncsa(&self, log: &Path) -> Result<Command, Failure> {
        let programs = required(self.programs.varnish.as_ref(), "Varnish")?;
        let mut command = Command::new(&programs.varnishncsa);
        command.arg("-n").arg(self.varnish_name()?).args(["-a", "-w"]).arg(log);
        Ok(command)
    }

    /// The directory that varnishd and varnishncsa share: memory, as Varnish
    /// wishes it, because its log passes through a file there.
    fn varnish_name(&self) -> Result<PathBuf, Failure> {
        let store = self.store.ok_or_else(|| Failure::invalid("Varnish is for caching only"))?;
        Ok(store.join("varnishd"))
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
        if self.store.is_some() {
            command.arg(format!("--cache={STORE_MEBIBYTES}MiB"));
        }
        if let Some(own) = self.certificate {
            command.arg("--tls-cert").arg(&own.cert).arg("--tls-key").arg(&own.key);
        }
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
    /// The process groups, for accounting.
    pub(crate) fn groups(&self) -> Vec<u32> {
        self.processes.iter().map(Process::group).collect()
    }

    /// An error when it is gone, with its last words.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        self.processes.iter_mut().try_for_each(Process::check)
    }

    /// Its last words, for a message about something else that went wrong.
    pub(crate) fn complaints(&self) -> String {
        self.processes.iter().map(Process::complaints).collect()
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

fn required<'a, T>(program: Option<&'a T>, name: &str) -> Result<&'a T, Failure> {
    program.ok_or_else(|| Failure::invalid(format!("{name} has not been found")))
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
