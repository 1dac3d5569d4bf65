//! The program under test: found or built, started, waited for, and ended.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use crate::client::{self, Answer};
use crate::scratch::Scratch;
use crate::waiting;
use crate::{ports, wire};

/// The path of the program: `PROXYD_BIN` if it is set; else the one beside the running test, if
/// no source is newer; else what `cargo build` makes.
pub fn binary() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        if let Some(path) = std::env::var_os("PROXYD_BIN") {
            return PathBuf::from(path);
        }
        let test = std::env::current_exe().expect("the path of the running test");
        let profile = test
            .ancestors()
            .find(|folder| folder.join("deps").is_dir())
            .expect("the test lies in a target directory");
        let program = profile.join("proxyd");
        if !is_current(&program) {
            build(profile);
        }
        program
    })
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn is_current(program: &Path) -> bool {
    let Ok(built) = program.metadata().and_then(|data| data.modified()) else {
        return false;
    };
    newest(&workspace().join("crates")).is_none_or(|source| source <= built)
}

/// When the newest file below a folder was changed.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .filter_map(|entry| {
            if entry.file_type().ok()?.is_dir() {
                newest(&entry.path())
            } else {
                entry.metadata().ok()?.modified().ok()
            }
        })
        .max()
}

fn build(profile: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "-p", "proxy-bin", "--bin", "proxyd"])
        .current_dir(workspace());
    if profile.file_name() == Some(OsStr::new("release")) {
        command.arg("--release");
    }
    if let Some(target) = profile.parent() {
        command.arg("--target-dir").arg(target);
    }
    let status = command.status().expect("cargo can be started");
    assert!(status.success(), "cargo build -p proxy-bin: {status}");
}

/// How to start the program.
pub struct Launch {
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    scratch: Scratch,
    through: Vec<OsString>,
}

impl Launch {
    fn with(address: SocketAddr, arguments: &[&OsStr]) -> Self {
        Self {
            arguments: arguments.iter().map(OsString::from).collect(),
            environment: Vec::new(),
            address,
            admin: None,
            scratch: Scratch::new("proxyd"),
            through: Vec::new(),
        }
    }

    fn one_line(mode: &str) -> Self {
        let (address, admin) = (ports::free(), ports::free());
        let mut launch = Self::with(address, &[OsStr::new(mode)]);
        launch.admin = Some(admin);
        let log = launch.log_path();
        launch
            .arg("--listen")
            .arg(address.to_string())
            .arg("--admin")
            .arg(admin.to_string())
            .arg("--access-log")
            .arg(log)
    }

    fn log_path(&self) -> PathBuf {
        self.scratch.join("access.log")
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(OsString::from));
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Its directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// A file in its directory, such as one that the configuration names.
    #[must_use]
    pub fn file(self, name: &str, content: &str) -> Self {
        self.scratch.write(name, content);
        self
    }

    /// Starts it by another program, which gets the path of the binary and its arguments behind its
    /// own, and becomes it.
    #[must_use]
    pub fn through(mut self, program: &[&str]) -> Self {
        self.through = program.iter().map(OsString::from).collect();
        self
    }

    /// The admin address that the configuration names.
    #[must_use]
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.admin = Some(address);
        self
    }

    /// Starts it and waits until it listens.
    #[must_use]
    pub fn start(self) -> Proxyd {
        let whole = self.through.into_iter().chain([binary().into()]).collect::<Vec<_>>();
        let mut child = Command::new(&whole[0])
            .args(&whole[1..])
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.scratch.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary().display()));
        let stdout = collect(child.stdout.take().expect("piped"));
        let stderr = collect(child.stderr.take().expect("piped"));
        let mut proxyd = Proxyd {
            child,
            stdout,
            stderr,
            address: self.address,
            admin: self.admin,
            scratch: self.scratch,
        };
        let due: Vec<SocketAddr> = std::iter::once(self.address).chain(self.admin).collect();
        waiting::until("proxyd listens", || {
            if let Some(status) = proxyd.child.try_wait().expect("proxyd") {
                panic!("proxyd ended at once, {status}: {}", proxyd.stderr());
            }
            due.iter().all(|at| TcpStream::connect(at).is_ok()).then_some(())
        });
        // Sockets listen before anything else is made: whoever is answered finds it all there.
        if let Some(admin) = proxyd.admin {
            let _ = client::get(admin, "localhost", "/livez");
        }
        proxyd
    }
}

/// `proxyd reverse` in front of `to`.
#[must_use]
pub fn reverse(to: &str) -> Launch {
    Launch::one_line("reverse").args(&["--to", to])
}

/// `proxyd forward`.
#[must_use]
pub fn forward() -> Launch {
    Launch::one_line("forward")
}

/// `proxyd exec`; the arguments end with `--` and the program.
#[must_use]
pub fn exec() -> Launch {
    Launch::one_line("exec")
}

/// `proxyd run` with this configuration, which has a listener on `address`.
#[must_use]
pub fn run(address: SocketAddr, config: &str) -> Launch {
    let launch = Launch::with(address, &[OsStr::new("run"), OsStr::new("--config")]);
    let path = launch.scratch.write("proxyd.toml", config);
    launch.arg(path)
}

/// `proxyd run` with the configuration in this file of its folder, which is yet to be filled, and
/// which has a listener on `address`.
#[must_use]
pub fn run_file(address: SocketAddr, name: &str) -> Launch {
    Launch::with(address, &[OsStr::new("run"), OsStr::new("--config"), OsStr::new(name)])
}

/// A running program; killed on drop.
pub struct Proxyd {
    child: Child,
    stdout: Collected,
    stderr: Collected,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    scratch: Scratch,
}

impl Proxyd {
    /// Where its listener is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its admin listener is; panics if there is none.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin.expect("an admin listener")
    }

    /// The URL of its listener, for a client's `--proxy`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has written to stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// What it has written to stdout so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Its access log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.join("access.log")).unwrap_or_default()
    }

    /// Its directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A `GET` at the admin listener.
    #[must_use]
    pub fn ask_admin(&self, path: &str) -> Answer {
        client::get(self.admin(), "localhost", path)
    }

    /// Sends it a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .status()
            .expect("kill can be started");
        assert!(status.success(), "kill -{name}: {status}");
    }

    /// Sends it SIGTERM.
    pub fn sigterm(&self) {
        self.signal("TERM");
    }

    /// Waits until it has ended.
    pub fn wait_exit(&mut self) -> ExitStatus {
        waiting::until("proxyd ends", || self.child.try_wait().expect("proxyd"))
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("proxyd").is_none()
    }

    /// Its resident memory in KiB.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(path).expect("proc");
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .and_then(|number| number.trim().parse().ok())
            .expect("VmRSS")
    }
}

impl Drop for Proxyd {
    fn drop(&mut self) {
        // Only fails when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program that ran to its end said.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// Runs the program with these arguments in `folder`, until it ends; panics if it does not.
#[must_use]
pub fn run_to_end(folder: &Path, arguments: &[&str]) -> Outcome {
    let mut child = Command::new(binary())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", binary().display()));
    let stdout = collect(child.stdout.take().expect("piped"));
    let stderr = collect(child.stderr.take().expect("piped"));
    let deadline = std::time::Instant::now() + waiting::PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("proxyd") {
            break status;
        }
        if std::time::Instant::now() > deadline {
            // It is killed before the panic, or it would outlive the test.
            let _ = child.kill();
            let _ = child.wait();
            panic!("proxyd {arguments:?} goes on: {}{}", stdout.text(), stderr.text());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Outcome { code: status.code(), stdout: stdout.whole(), stderr: stderr.whole() }
}

/// What a thread reads from a pipe.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
}

impl Collected {
    fn text(&self) -> String {
        wire::latin1(&self.bytes.lock().expect("output"))
    }

    fn whole(self) -> String {
        self.reader.join().expect("the reading thread");
        String::from_utf8_lossy(&self.bytes.lock().expect("output")).into_owned()
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> Collected {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&bytes);
    let reader = std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = pipe.read(&mut piece) {
            shared.lock().expect("output").extend_from_slice(&piece[..read]);
        }
    });
    Collected { bytes, reader }
}
