//! The start of a run: its directory, its program's file, its process.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use async_pidfd::PidFd;
use rustix::process::{Signal, WaitId, WaitIdOptions};

use super::{Run, State, UNTOLD};
use crate::process::cgroup::Cgroup;
use crate::process::message::{Start, Step};
use crate::process::warden::scratch::Scratches;
use crate::process::warden::spawn::{Place, confined, plain};
use crate::process::warden::{failed, program};

impl Run {
    pub(in crate::process::warden) fn start(
        start: &Start,
        descriptors: Vec<OwnedFd>,
        program: &Path,
        null: BorrowedFd<'_>,
        scratches: &mut Scratches,
    ) -> Result<Self, (Step, io::Error)> {
        let scratch = match &start.directory {
            Some(_) => None,
            None => Some(scratches.make(start).map_err(failed(Step::Directory))?),
        };
        let begun = Self::begin(start, descriptors, program, null, scratch.as_deref());
        match (begun, scratch) {
            (Ok(run), scratch) => Ok(Self { scratch, ..run }),
            (Err(error), scratch) => {
                if let Some(path) = scratch {
                    scratches.remove(path);
                }
                Err(error)
            }
        }
    }

    fn begin(
        start: &Start,
        descriptors: Vec<OwnedFd>,
        program: &Path,
        null: BorrowedFd<'_>,
        scratch: Option<&Path>,
    ) -> Result<Self, (Step, io::Error)> {
        let directory = match (&start.directory, scratch) {
            (Some(directory), _) => Path::new(directory),
            (None, Some(scratch)) => scratch,
            (None, None) => Path::new("/"),
        };
        if !directory.is_dir() {
            return Err((Step::Directory, io::ErrorKind::NotFound.into()));
        }
        let file =
            program::find(&start.program, &start.env, directory).map_err(failed(Step::Program))?;
        let place = Place { null, directory };
        let mut cgroup = None;
        let (pid, launcher) = match &start.confine {
            None => (plain(start, &file, descriptors, place).map_err(failed(Step::Program))?, None),
            Some(confine) => {
                if let Some(limits) = &confine.cgroup {
                    cgroup = match Cgroup::make(limits, start.run, confine.required) {
                        Ok(made) => Some(made),
                        // What has no effect here was told when the proxy started.
                        Err(_) if !confine.required => None,
                        Err(error) => return Err((Step::Confinement, error)),
                    };
                }
                let mut start = Start { file: Some(file), ..start.clone() };
                start.cgroup = cgroup.as_ref().map(|own| own.folder().to_owned());
                // What was made for the run is its own to write to.
                if let (Some(scratch), Some(confine)) = (scratch, &mut start.confine)
                    && confine.uses_landlock()
                {
                    let own = scratch.to_string_lossy().into_owned();
                    confine.write.get_or_insert_default().push(own);
                }
                let (pid, socket) = confined(&start, &descriptors, program, place)
                    .map_err(failed(Step::Confinement))?;
                (pid, Some(socket))
            }
        };
        // Nobody has waited for it: the number is its own.
        let pidfd = match PidFd::from_pid(pid.as_raw_nonzero().get()) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                // With all that it may have begun already.
                let _ = rustix::process::kill_process_group(pid, Signal::KILL);
                let _ = rustix::process::kill_process(pid, Signal::KILL);
                let _ = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
                let next =
                    || rustix::process::waitid(WaitId::Pgid(Some(pid)), WaitIdOptions::EXITED);
                while matches!(next(), Ok(Some(_))) {}
                return Err((Step::Confinement, error));
            }
        };
        if start.nice != 0 {
            // Its first instructions may run before; a launcher's wait for nothing.
            let _ = rustix::process::setpriority_process(Some(pid), start.nice);
        }
        let is_running = launcher.is_none();
        Ok(Self {
            pid,
            pidfd,
            state: if is_running { State::Running } else { State::Launching },
            tell_at: is_running.then(|| Instant::now() + UNTOLD),
            launcher,
            failure: None,
            kill_at: None,
            killed: false,
            end_at: start
                .total
                .and_then(|most| Instant::now().checked_add(Duration::from_millis(most))),
            timed_out: false,
            grace: Duration::from_millis(start.grace),
            scratch: None,
            cgroup,
        })
    }
}
