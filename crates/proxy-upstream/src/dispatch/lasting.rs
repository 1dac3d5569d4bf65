//! A place that lasts as long as a connection is busy with a request.

use std::sync::{Arc, Mutex, PoisonError};

use crate::cluster::Permit;

/// Rides in the extensions of a response whose request is still being sent, from whoever has the
/// connection to whoever has the place. A client that takes its time with content for which it has
/// its answer already keeps the connection busy, however soon the response is whole.
#[derive(Clone, Default)]
pub(crate) struct Lasting(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// At an endpoint, and at the parent proxy before it.
    places: Vec<Permit>,
    /// The connection is closed, or serves others.
    is_over: bool,
}

impl Lasting {
    /// Keeps a place until the connection is free. Of several, each is kept.
    pub(crate) fn keep(&self, permit: Permit) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.is_over {
            state.places.push(permit);
        }
    }

    /// What the connection holds.
    pub(crate) fn guard(&self) -> Busy {
        Busy(self.clone())
    }
}

/// Dropped when the connection is free, or gone.
pub(crate) struct Busy(Lasting);

impl Drop for Busy {
    fn drop(&mut self) {
        let Lasting(state) = &self.0;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_over = true;
        let places = std::mem::take(&mut state.places);
        // Whoever waits for it is called: not while this is locked.
        drop(state);
        drop(places);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::{RoundRobin, SeededRandom};
    use crate::cluster::{Cluster, ClusterConfig, MemberConfig};

    #[test]
    fn a_place_is_free_when_the_connection_is() {
        let members = vec![MemberConfig::new("a")];
        let cluster = Arc::new(Cluster::new(
            ClusterConfig::new("app", members),
            Box::new(RoundRobin::default()),
            Arc::new(proxy_core::SystemClock),
            Arc::new(SeededRandom::new(1)),
            None,
        ));
        let in_flight = || cluster.report()[0].in_flight;
        let permit = || cluster.admit(None, None, &[]).unwrap();
        let lasting = Lasting::default();
        let busy = lasting.guard();
        lasting.keep(permit());
        assert_eq!(in_flight(), 1);
        drop(busy);
        assert_eq!(in_flight(), 0);
        // It was free before anybody could say so.
        lasting.keep(permit());
        assert_eq!(in_flight(), 0);
    }
}
