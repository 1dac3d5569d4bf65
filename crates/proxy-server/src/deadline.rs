//! A deadline that moves often and fires seldom.
//!
//! Moving it costs a store: the timer behind it is only touched when it fires too early, or when
//! the deadline comes nearer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Debug, Default)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(crate) fn set(&mut self, at: Instant) {
        self.at = Some(at);
    }

    pub(crate) fn clear(&mut self) {
        self.at = None;
    }

    pub(crate) fn is_set(&self) -> bool {
        self.at.is_some()
    }

    /// Ready once the deadline has passed; Pending for ever where there is none.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        loop {
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if timer.deadline() >= at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(at);
        }
    }
}

/// How long one side may keep us waiting: a grace, and then a minimum rate.
///
/// Only time spent waiting for the peer counts, so that a slow upstream is never held against the
/// client.
#[derive(Debug)]
pub(crate) struct Patience {
    waited: std::time::Duration,
    since: Option<Instant>,
    bytes: u64,
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self { waited: std::time::Duration::ZERO, since: None, bytes: 0 }
    }

    /// The peer moved `n` bytes.
    pub(crate) fn progress(&mut self, n: usize) {
        self.bytes += n as u64;
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// We wait; gives the instant at which patience ends.
    pub(crate) fn wait(&mut self, grace: std::time::Duration, min_rate: u64) -> Instant {
        let since = *self.since.get_or_insert_with(Instant::now);
        // No rate is asked for.
        if min_rate == 0 {
            return since + YEAR;
        }
        let earned =
            std::time::Duration::from_millis(self.bytes.saturating_mul(1000) / min_rate);
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

const YEAR: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_moves_both_ways() {
        let start = Instant::now();
        let mut deadline = Deadline::default();
        deadline.set(start + Duration::from_secs(10));
        assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx).is_pending())).await);
        deadline.set(start + Duration::from_secs(20));
        poll_fn(|cx| deadline.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 20);
        deadline.set(start + Duration::from_secs(100));
        assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx).is_pending())).await);
        deadline.set(start + Duration::from_secs(30));
        poll_fn(|cx| deadline.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 30);
    }

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
