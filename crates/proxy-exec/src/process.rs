//! Programs, from start to end: the warden that starts them and the proxy's side of it.

mod cgroup;
mod confine;
mod launch;
mod link;
pub(crate) mod message;
mod seccomp;
mod spawner;
mod warden;

use std::ffi::OsStr;
use std::path::PathBuf;

pub use cgroup::CgroupLimits;
pub use confine::{Confinement, Statement, Support, support};
pub(crate) use link::{Event, RunTicket};
pub(crate) use spawner::Running;
pub use spawner::{ExecError, Spawner};

/// The argument by which a copy of this program knows that it is the warden.
const WARDEN: &str = "__proxy-exec-warden";
/// The argument by which that knows that nothing else is open, and that it is to keep the warden.
const KEEPER: &str = "__proxy-exec-keeper";
/// The argument by which it knows that it has a keeper, and is to serve.
const SERVE: &str = "__proxy-exec-serve";
/// The argument by which it knows that it is a launcher.
const LAUNCH: &str = "__proxy-exec-launch";

/// The program that the warden and its launchers are copies of.
///
/// The warden is a small process that the proxy starts once: it starts the programs, ends them by
/// their groups, and ends all of them when the proxy is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warden {
    program: PathBuf,
}

impl Warden {
    /// This program itself. **Call it first in `main`**: in a copy of the program that is to be
    /// the warden it does that work, and never comes back.
    ///
    /// ```no_run
    /// let warden = proxy_exec::Warden::begin();
    /// // Threads, runtimes, sockets: all the rest comes after.
    /// # drop(warden);
    /// ```
    pub fn begin() -> Self {
        let mut arguments = std::env::args_os().skip(1);
        let first = arguments.next();
        // No file is needed: it works where the program has been replaced or removed meanwhile.
        let program = PathBuf::from("/proc/self/exe");
        if first.as_deref() == Some(OsStr::new(WARDEN)) {
            drop(warden::keeper::begin(&program));
            std::process::exit(1);
        }
        if first.as_deref() == Some(OsStr::new(KEEPER)) {
            let ended = warden::keeper::keep(rustix::stdio::stdin(), &program);
            std::process::exit(i32::from(ended.is_err()));
        }
        if first.as_deref() == Some(OsStr::new(SERVE)) {
            let ended = warden::serve(rustix::stdio::stdin(), program);
            std::process::exit(i32::from(ended.is_err()));
        }
        if first.as_deref() == Some(OsStr::new(LAUNCH)) {
            launch::launch();
            std::process::exit(127);
        }
        Self { program }
    }

    /// Another program whose `main` calls [`begin`](Self::begin): `proxyd`, or the
    /// `proxy-exec-warden` of this crate.
    pub fn program(path: impl Into<PathBuf>) -> Self {
        Self { program: path.into() }
    }
}
