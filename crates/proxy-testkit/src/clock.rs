//! `ManualClock`: time that stands still until a test turns it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use proxy_core::Clock;
use proxy_core::clock::Sleep;

use crate::lock;

/// A clock that moves only by [`advance`](Self::advance). A clone is the same clock.
///
/// Wall time starts at 2023-11-14T22:13:20Z, so that dates in expectations are fixed; it moves
/// along with monotonic time, and can be set on its own as an administrator does it.
///
/// ```
/// use std::time::Duration;
/// use proxy_core::Clock;
/// use proxy_testkit::{ManualClock, poll_once};
///
/// let clock = ManualClock::new();
/// let mut sleep = clock.sleep_until(clock.now() + Duration::from_secs(5));
/// assert!(poll_once(sleep.as_mut()).is_pending());
/// clock.advance(Duration::from_secs(5));
/// assert!(poll_once(sleep.as_mut()).is_ready());
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<Time>>);

struct Time {
    now: Instant,
    wall: SystemTime,
    next_id: u64,
    /// Who sleeps until when; the id keeps two with the same deadline apart.
    sleepers: BTreeMap<(Instant, u64), Waker>,
}

impl ManualClock {
    /// A clock at rest.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Time {
            now: Instant::now(),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            next_id: 0,
            sleepers: BTreeMap::new(),
        })))
    }

    /// Turns monotonic and wall time on, and wakes whose deadline has come.
    pub fn advance(&self, by: Duration) {
        let due = {
            let mut time = lock(&self.0);
            time.now += by;
            time.wall += by;
            let last = (time.now, u64::MAX);
            let later = time.sleepers.split_off(&last);
            std::mem::replace(&mut time.sleepers, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }

    /// Turns time on to the next deadline that somebody sleeps for. False where nobody sleeps.
    pub fn advance_to_next(&self) -> bool {
        let Some(deadline) = self.next_deadline() else {
            return false;
        };
        self.advance(deadline.saturating_duration_since(self.now()));
        true
    }

    /// Sets wall time alone: monotonic time never jumps.
    pub fn set_wall(&self, wall: SystemTime) {
        lock(&self.0).wall = wall;
    }

    /// How many sleeps were polled and wait.
    pub fn sleepers(&self) -> usize {
        lock(&self.0).sleepers.len()
    }

    /// The nearest deadline that somebody sleeps for.
    pub fn next_deadline(&self) -> Option<Instant> {
        lock(&self.0).sleepers.keys().next().map(|(deadline, _)| *deadline)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("sleepers", &self.sleepers()).finish_non_exhaustive()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        lock(&self.0).now
    }

    fn wall(&self) -> SystemTime {
        lock(&self.0).wall
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        let id = {
            let mut time = lock(&self.0);
            time.next_id += 1;
            time.next_id
        };
        Box::pin(ManualSleep { clock: self.clone(), key: (deadline, id) })
    }
}

struct ManualSleep {
    clock: ManualClock,
    key: (Instant, u64),
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut time = lock(&self.clock.0);
        if time.now >= self.key.0 {
            time.sleepers.remove(&self.key);
            return Poll::Ready(());
        }
        time.sleepers.insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        lock(&self.clock.0).sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WakeCount;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_due_sleepers_wake() {
        let clock = ManualClock::new();
        let wakes = WakeCount::new();
        let mut near = clock.sleep_until(clock.now() + SECOND);
        let mut far = clock.sleep_until(clock.now() + 3 * SECOND);
        assert!(wakes.poll(|cx| near.as_mut().poll(cx)).is_pending());
        assert!(wakes.poll(|cx| far.as_mut().poll(cx)).is_pending());
        clock.advance(SECOND / 2);
        assert_eq!(wakes.count(), 0);
        assert!(clock.advance_to_next());
        assert_eq!((wakes.count(), clock.sleepers()), (1, 1));
        assert!(wakes.poll(|cx| near.as_mut().poll(cx)).is_ready());
        drop(far);
        assert_eq!(clock.sleepers(), 0);
        assert!(!clock.advance_to_next());
    }

    #[test]
    fn wall_time_moves_along() {
        let clock = ManualClock::new();
        let (now, wall) = (clock.now(), clock.wall());
        clock.advance(SECOND);
        assert_eq!((clock.now() - now, clock.wall()), (SECOND, wall + SECOND));
        clock.set_wall(SystemTime::UNIX_EPOCH);
        assert_eq!(clock.now() - now, SECOND);
    }

    #[test]
    fn a_past_deadline_ends_at_once() {
        let clock = ManualClock::new();
        let mut sleep = clock.sleep_until(clock.now());
        assert!(crate::poll_once(sleep.as_mut()).is_ready());
    }
}
