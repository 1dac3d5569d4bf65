//! When a run is over though nothing has happened.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::Body;
use proxy_core::{BoxError, Clock, Sleep};

use super::Live;
use crate::metrics::Why;
use crate::pipes::Output;

/// Deadlines. One timer: it is set again when it fires too early, which is seldom.
pub(super) struct Times {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) began: Instant,
    pub(super) started: bool,
    pub(super) first_byte: Option<Instant>,
    /// When something moved last.
    pub(super) moved: Instant,
    pub(super) exited: Option<AfterExit>,
    pub(super) sleep: Option<(Instant, Sleep)>,
}

/// What is still to be read after the program has ended. Its own last bytes are in the pipes by
/// then, and a client takes them as slowly as it likes; others may hold the pipes for a while.
pub(super) struct AfterExit {
    /// Until when whoever else holds the pipes may write.
    pub(super) until: Instant,
    /// Bytes that are read whatever the time.
    pub(super) owed: u64,
    /// The time is over, and `owed` is what was in the pipes then.
    pub(super) is_over: bool,
}

impl Times {
    /// The program runs: its time for the first byte begins.
    pub(super) fn start(&mut self) {
        if !std::mem::replace(&mut self.started, true) {
            self.moved = self.clock.now();
        }
    }
}

impl<B> Live<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(super) fn poll_times(&mut self, cx: &mut Context<'_>) -> Poll<Why> {
        loop {
            let Some((at, why)) = self.deadline() else { return Poll::Pending };
            if at <= self.times.clock.now() {
                // Who holds the output after the program has ended is asked at the next turn.
                if let Some(why) = why.or_else(|| self.over()) {
                    return Poll::Ready(why);
                }
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.times.sleep.as_ref().is_none_or(|(until, _)| *until > at) {
                self.times.sleep = Some((at, self.times.clock.sleep_until(at)));
            }
            let Some((_, sleep)) = &mut self.times.sleep else { return Poll::Pending };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.times.sleep = None;
        }
    }

    /// Bytes that wait in the pipes.
    pub(super) fn in_pipes(&self) -> u64 {
        let waiting = |pipe: &Option<Output>| pipe.as_ref().map_or(0, Output::waiting);
        waiting(&self.output) + waiting(&self.errors)
    }

    /// Whether the time is over that nothing moves: of the whole, or of those who hold the output
    /// after the program has ended. Nothing that was in the pipes by then is lost.
    pub(super) fn over(&mut self) -> Option<Why> {
        let now = self.times.clock.now();
        let Some(exit) = self.exit else {
            let total = self.config.timeouts.total?;
            return (self.times.began + total <= now).then_some(Why::TotalTimeout);
        };
        let waiting = self.in_pipes();
        let after = self.times.exited.as_mut()?;
        if after.until > now || (after.owed > 0 && waiting > 0) {
            return None;
        }
        if !std::mem::replace(&mut after.is_over, true) {
            after.owed = waiting;
        }
        if after.owed > 0 && waiting > 0 {
            return None;
        }
        let given = self.output.as_ref().is_none_or(|pipe| pipe.waiting() == 0);
        Some(match self.judge(&exit) {
            // There is always more: what has been given is not all.
            Why::Exit if !given => Why::OutputHeld,
            why => why,
        })
    }

    /// The next deadline, and what it means; of `over` otherwise.
    fn deadline(&self) -> Option<(Instant, Option<Why>)> {
        let (own, times) = (&self.config.timeouts, &self.times);
        if let Some(after) = &times.exited {
            return Some((after.until, None));
        }
        let total = own.total.map(|most| (times.began + most, Some(Why::TotalTimeout)));
        let step = if !times.started {
            Some((times.began + own.start, Some(Why::StartTimeout)))
        } else if times.first_byte.is_none() {
            own.first_byte.map(|most| (times.moved + most, Some(Why::FirstByteTimeout)))
        } else {
            own.read_idle.map(|most| (times.moved + most, Some(Why::IdleTimeout)))
        };
        total.into_iter().chain(step).min_by_key(|(at, _)| *at)
    }
}
