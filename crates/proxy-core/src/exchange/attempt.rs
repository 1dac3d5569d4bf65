//! Attempts at an upstream: where, how long each step took, and what came of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::error::ErrorKind;

/// One attempt to get a response from an upstream.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// The upstream's name in the configuration; none for destinations that clients choose.
    pub upstream: Option<Arc<str>>,
    /// The address dialled.
    pub address: Option<SocketAddr>,
    /// Whether a kept-alive connection was reused.
    pub reused: bool,
    /// Whether the name is being resolved at this moment.
    pub resolving: bool,
    /// Time to resolve the name.
    pub dns: Option<Duration>,
    /// Time to connect.
    pub connect: Option<Duration>,
    /// Time for the TLS handshake.
    pub tls: Option<Duration>,
    /// Time from the start of the attempt to the response head.
    pub first_byte: Option<Duration>,
    /// The status received.
    pub status: Option<StatusCode>,
    /// What went wrong.
    pub error: Option<ErrorKind>,
}

/// The attempts of one exchange. The first is kept inline: most exchanges have just one.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    first: Option<Attempt>,
    more: Vec<Attempt>,
}

impl Attempts {
    /// Starts a further attempt.
    pub fn push(&mut self, attempt: Attempt) {
        if self.first.is_none() {
            self.first = Some(attempt);
        } else {
            self.more.push(attempt);
        }
    }

    /// The attempt under way, or the last one.
    pub fn last_mut(&mut self) -> Option<&mut Attempt> {
        self.more.last_mut().or(self.first.as_mut())
    }

    /// The last attempt.
    pub fn last(&self) -> Option<&Attempt> {
        self.more.last().or(self.first.as_ref())
    }

    /// How many there were.
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    /// True where no upstream was tried.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Attempt> {
        self.first.iter().chain(&self.more)
    }
}
