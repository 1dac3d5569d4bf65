//! `Pacer`: one direction of one flow of bytes, and when its next ones may pass.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use proxy_core::Sleep;

use super::limiter::{BandwidthLimiter, Direction};
use crate::rate::table::KeyHash;

/// Says when bytes may pass, and how many. What a body asks here, anything else that carries bytes
/// may ask: [`BandwidthLimiter::pacers`] gives those of a tunnel.
///
/// It promises bytes of its key's rate to whoever asked, in the order in which they did; dropped, it
/// gives back what it was promised and did not pass.
pub struct Pacer {
    limiter: Arc<BandwidthLimiter>,
    direction: Direction,
    key: KeyHash,
    /// How much may pass when the sleep is over.
    promised: usize,
    sleep: Option<Sleep>,
}

impl Pacer {
    pub(super) const fn new(
        limiter: Arc<BandwidthLimiter>,
        direction: Direction,
        key: KeyHash,
    ) -> Self {
        Self { limiter, direction, key, promised: 0, sleep: None }
    }

    /// How many of `wanted` bytes may pass: ready, with one at least, when their time has come.
    /// Who wants none gets none, at once.
    pub fn poll_turn(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<usize> {
        if self.promised == 0 && wanted > 0 {
            self.ask(wanted);
        }
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        Poll::Ready(self.promised.min(wanted))
    }

    /// So many bytes of the last turn passed; the rest of it may still.
    pub fn passed(&mut self, bytes: usize) {
        self.promised = self.promised.saturating_sub(bytes);
    }

    fn ask(&mut self, wanted: usize) {
        let Some(pace) = self.limiter.pace(self.direction) else {
            self.promised = wanted;
            return;
        };
        let promise = pace.promise(self.key, wanted as u64, self.limiter.clock.now());
        self.promised = usize::try_from(promise.bytes).unwrap_or(wanted);
        self.sleep = promise.at.map(|at| {
            self.limiter.metrics.waits(self.direction);
            self.limiter.clock.sleep_until(at)
        });
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        if self.promised > 0
            && let Some(pace) = self.limiter.pace(self.direction)
        {
            pace.take_back(self.key, self.promised as u64);
        }
    }
}

impl fmt::Debug for Pacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pacer").field("direction", &self.direction).finish_non_exhaustive()
    }
}
