//! How long one side may keep us waiting.

use std::time::Duration;

use tokio::time::Instant;

/// How long one side may keep us waiting: a grace, and then a minimum rate.
///
/// Only time spent waiting for the peer counts, so that a slow upstream is never held against the
/// client.
#[derive(Debug)]
pub(crate) struct Patience {
    waited: Duration,
    since: Option<Instant>,
    bytes: u64,
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self { waited: Duration::ZERO, since: None, bytes: 0 }
    }

    /// The peer moved `n` bytes.
    pub(crate) fn progress(&mut self, n: usize) {
        self.earn(n as u64);
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// `n` bytes count for the peer, whatever it does at the moment.
    pub(crate) fn earn(&mut self, n: u64) {
        self.bytes += n;
    }

    /// We wait; gives the instant at which patience ends.
    pub(crate) fn wait(&mut self, grace: Duration, min_rate: u64) -> Instant {
        let since = *self.since.get_or_insert_with(Instant::now);
        // No rate is asked for.
        if min_rate == 0 {
            return since + YEAR;
        }
        let earned = Duration::from_millis(self.bytes.saturating_mul(1000) / min_rate);
        // A year is as good as for ever, and can not overflow.
        let allowed = (grace + earned.min(YEAR)).saturating_sub(self.waited);
        since + allowed
    }

    /// What the peer has moved so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the present wait began.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.since
    }
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_waiting_wears_patience_out() {
        let mut patience = Patience::new();
        let grace = Duration::from_secs(10);
        let start = Instant::now();
        assert_eq!(patience.wait(grace, 100), start + grace);
        tokio::time::advance(Duration::from_secs(4)).await;
        patience.progress(200);
        // A long time in which nobody waited for the peer.
        tokio::time::advance(Duration::from_secs(3600)).await;
        let now = Instant::now();
        assert_eq!(patience.wait(grace, 100), now + Duration::from_secs(10 - 4 + 2));
    }
}
