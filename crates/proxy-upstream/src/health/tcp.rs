//! A check that only connects.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proxy_core::ErrorKind;

use super::{Checking, Probe};
use crate::dial::{DialTarget, Dialer, Trust, local};

/// Connects, and closes again.
#[derive(Debug)]
pub struct TcpProbe {
    dialer: Dialer,
    host: String,
    port: u16,
    time: Option<Duration>,
}

impl TcpProbe {
    /// Connects to this host, which the operator configured, by `dialer`.
    pub fn new(dialer: Dialer, host: &str, port: u16) -> Self {
        Self { dialer, host: host.to_owned(), port, time: None }
    }

    /// Takes no longer than this, which it knows beforehand: where the parent proxy may be at
    /// several places, each gets a part of it. Default: as long as the check may take, all of which
    /// the first place may have.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }
}

impl Probe for TcpProbe {
    fn check(&self) -> Checking<'_> {
        Box::pin(async {
            let trust = Trust::Operator;
            let target = DialTarget { host: &self.host, port: self.port, trust, exchange: None };
            let dialed = match self.time {
                Some(time) => self.dialer.dial_within(target, time).await,
                None => self.dialer.dial(target).await,
            };
            match dialed {
                Ok(_) => Ok(()),
                Err(error) => Err(word(error.kind())),
            }
        })
    }
}

/// Connects to a socket in the file system, and closes again.
#[derive(Debug)]
pub struct LocalProbe {
    path: PathBuf,
}

impl LocalProbe {
    /// Connects to this socket.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl Probe for LocalProbe {
    fn check(&self) -> Checking<'_> {
        Box::pin(async {
            let connected = local::connect(&self.path).await;
            connected.map(drop).map_err(|error| word(error.kind()))
        })
    }
}

pub(super) fn word(kind: ErrorKind) -> Box<str> {
    kind.token().into()
}
