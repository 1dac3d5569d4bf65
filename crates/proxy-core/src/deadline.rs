//! A deadline that moves often and fires seldom.
//!
//! Moving it costs a store: the timer behind it is only touched when it fires too early, or when
//! the deadline comes nearer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock::FAR;

/// The end of a length of time that begins now. Where that is a time which no clock can tell, it is
/// thirty years away.
pub fn from_now(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + FAR)
}

/// See the [module](self). Runs on tokio's clock, which tests can pause.
#[derive(Debug, Default)]
pub struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// Moves it.
    pub fn set(&mut self, at: Instant) {
        self.at = Some(at);
    }

    /// Moves it to the end of a length of time that begins now, see [`from_now`].
    pub fn set_in(&mut self, time: Duration) {
        self.at = Some(from_now(time));
    }

    /// There is none.
    pub fn clear(&mut self) {
        self.at = None;
    }

    /// Whether there is one.
    pub fn is_set(&self) -> bool {
        self.at.is_some()
    }

    /// Ready once the deadline has passed; Pending for ever where there is none.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_time_without_end_does_not_end() {
        let mut deadline = Deadline::default();
        deadline.set_in(Duration::MAX);
        assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx).is_pending())).await);
        assert!(deadline.is_set());
        let now = std::time::Instant::now();
        assert!(crate::clock::later(now, Duration::MAX) > now);
        assert_eq!(crate::clock::later(now, FAR), now + FAR);
    }

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
}
