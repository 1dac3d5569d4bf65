//! Where a parent was not found of late.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long one place is tried where there are others.
pub(in super::super) const PATIENCE: Duration = Duration::from_secs(2);

/// How long a place where nobody was is tried after all others.
const AVOIDED: Duration = Duration::from_secs(10);

/// Until when each place is avoided.
pub(super) struct Places(Mutex<Box<[Option<Instant>]>>);

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self(Mutex::new(vec![None; count].into()))
    }

    /// The numbers of the places, those that are avoided last.
    pub(super) fn in_order(&self) -> Vec<usize> {
        let (now, places) = (Instant::now(), self.lock());
        let is_avoided = |place: &usize| places[*place].is_some_and(|until| until > now);
        let (last, mut order): (Vec<_>, Vec<_>) = (0..places.len()).partition(is_avoided);
        order.extend(last);
        order
    }

    pub(super) fn looked(&self, place: usize, found: bool) {
        let until = (!found).then(|| Instant::now() + AVOIDED);
        if let Some(own) = self.lock().get_mut(place) {
            *own = until;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Box<[Option<Instant>]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn where_nobody_was_is_tried_last_for_a_while() {
        let places = Places::new(3);
        assert_eq!(places.in_order(), [0, 1, 2]);
        places.looked(0, false);
        assert_eq!(places.in_order(), [1, 2, 0]);
        places.looked(1, false);
        assert_eq!(places.in_order(), [2, 0, 1]);
        places.looked(1, true);
        assert_eq!(places.in_order(), [1, 2, 0]);
        tokio::time::advance(AVOIDED).await;
        assert_eq!(places.in_order(), [0, 1, 2]);
    }
}
