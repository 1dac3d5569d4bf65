//! Which endpoints a request was sent to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::futures::OwnedNotified;

use crate::cluster::{Cluster, Permit};

/// Retries that a request may have, whatever is configured.
pub const MAX_RETRIES: u32 = 7;

/// Rides in the extensions of a request between its retries and whoever chooses an endpoint.
#[derive(Clone, Debug, Default)]
pub struct Tried(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    endpoints: Endpoints,
    /// Where the attempt under way is.
    current: Option<(Arc<Cluster>, usize)>,
    /// The attempt waits for an endpoint to have room.
    waits: bool,
}

/// A few endpoints, without a heap.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Endpoints {
    indices: [usize; MAX_RETRIES as usize + 1],
    len: usize,
}

impl std::ops::Deref for Endpoints {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.indices[..self.len]
    }
}

impl Tried {
    /// Those so far.
    pub(crate) fn endpoints(&self) -> Endpoints {
        self.lock().endpoints
    }

    /// A further attempt has an endpoint.
    pub(crate) fn begin(&self, permit: &Permit) {
        let mut state = self.lock();
        let State { endpoints, current, waits } = &mut *state;
        *waits = false;
        if let Some(place) = endpoints.indices.get_mut(endpoints.len) {
            *place = permit.index();
            endpoints.len += 1;
        }
        *current = Some((Arc::clone(permit.cluster()), permit.index()));
    }

    /// An attempt waits for an endpoint to have room, until it [begins](Self::begin).
    pub(crate) fn wait(&self) {
        self.lock().waits = true;
    }

    /// Whether the attempt under way has no endpoint so far.
    pub(super) fn waits(&self) -> bool {
        self.lock().waits
    }

    /// Whether an endpoint is in service that it was not sent to.
    pub(crate) fn has_others(&self) -> bool {
        let state = self.lock();
        let Some((cluster, _)) = &state.current else { return false };
        cluster.has_others(&state.endpoints)
    }

    /// The attempt under way was given up on: its endpoint did not answer.
    pub(super) fn failed(&self) {
        let current = self.lock().current.clone();
        if let Some((cluster, index)) = current {
            cluster.gave_up(index);
        }
    }

    /// Ends when the endpoint of the attempt under way is found down; `None` where nobody checks
    /// it, or it has none so far.
    pub(super) fn down(&self) -> Option<OwnedNotified> {
        let state = self.lock();
        let (cluster, index) = state.current.as_ref()?;
        cluster.is_checked().then(|| cluster.down(*index))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
