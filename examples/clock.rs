//! The system's clocks, on tokio's timers. The layers read no clock of their own: a program hands
//! them one, and a test hands them another.

use std::time::{Instant, SystemTime};

use proxy_core::{Clock, Sleep};

/// The system's clocks.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
    fn sleep_until(&self, deadline: Instant) -> Sleep {
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}
