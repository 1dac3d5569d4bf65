//! What active checks find out.

use std::sync::atomic::Ordering;

use proxy_core::ErrorKind;

use super::Cluster;
use super::member::CheckState;

/// Whether a check failed because nobody was there: no connection, or no answer in time. Who
/// answers something else than is expected may still answer those who wait.
fn is_silent(reason: &str) -> bool {
    use ErrorKind::{
        ConnectionReadTimeout, ConnectionRefused, ConnectionTimeout, ConnectionWriteTimeout,
        DestinationIpUnroutable, HttpResponseTimeout,
    };
    let kinds = [
        ConnectionReadTimeout,
        ConnectionRefused,
        ConnectionTimeout,
        ConnectionWriteTimeout,
        DestinationIpUnroutable,
        HttpResponseTimeout,
    ];
    reason == NO_ANSWER || kinds.iter().any(|kind| kind.token() == reason)
}

/// What [checks](crate::health) say that got no answer in time.
const NO_ANSWER: &str = "no answer in time";

impl Cluster {
    /// A check of an endpoint has passed, or failed for a reason. After `healthy_after` that
    /// passed in a row a down endpoint is back, after `unhealthy_after` that failed one is down;
    /// the first one that passes says that it is well.
    pub fn checked(
        &self,
        index: usize,
        result: Result<(), Box<str>>,
        healthy_after: u32,
        unhealthy_after: u32,
    ) {
        let now = self.clock.now();
        let member = &self.members[index];
        let mut was_ejected = false;
        let change = {
            let mut condition = member.condition();
            let before = condition.check;
            condition.last_check = Some(now);
            match &result {
                Ok(()) => {
                    (condition.failed, condition.passed) = (0, condition.passed.saturating_add(1));
                    if before == CheckState::Unknown || condition.passed >= healthy_after {
                        condition.check = CheckState::Healthy;
                        condition.check_reason = None;
                    }
                }
                Err(reason) => {
                    (condition.passed, condition.failed) = (0, condition.failed.saturating_add(1));
                    condition.check_reason = Some(reason.clone());
                    if condition.failed >= unhealthy_after {
                        condition.check = CheckState::Unhealthy;
                    }
                }
            }
            if before == condition.check {
                None
            } else {
                condition.changed = now;
                if condition.check == CheckState::Healthy {
                    // Who passes has no ejection to wait for.
                    was_ejected = condition.ejected_until.take().is_some();
                }
                Some((before, condition.check))
            }
        };
        self.meters.checked(index, result.is_ok());
        match change {
            None => {}
            Some((CheckState::Unknown, CheckState::Healthy)) if !was_ejected => {}
            Some((_, CheckState::Unhealthy)) => {
                let reason = result.err().unwrap_or_default();
                tracing::warn!(
                    upstream = &*self.config.name,
                    endpoint = &*member.config.name,
                    reason = &*reason,
                    "an endpoint is down"
                );
                member.warm_since.store(0, Ordering::Relaxed);
                self.refresh(now);
                if is_silent(&reason) {
                    // Who still waits for its answer need not.
                    member.watchers.tell();
                }
            }
            Some(_) => {
                self.welcome(member, now);
                self.refresh(now);
            }
        }
    }
}
