//! Which endpoints a request was sent to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Request;
use http::request::Parts;
use proxy_core::Body;
use tokio::sync::futures::OwnedNotified;

use crate::cluster::{Cluster, Permit};

/// Retries that a request may have, whatever is configured.
pub const MAX_RETRIES: u32 = 7;

/// Rides in the extensions of a request between its retries and whoever chooses an endpoint.
#[derive(Clone, Debug, Default)]
pub struct Tried(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Whether an attempt has had an endpoint: most requests ask this once, before their only one.
    has_begun: AtomicBool,
    /// Whether whoever has made use of the head gives it back, instead of dropping it.
    wants_head: AtomicBool,
    /// The attempt waits for an endpoint to have room.
    waits: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    endpoints: Endpoints,
    /// Where the attempt under way is.
    current: Option<(Arc<Cluster>, usize)>,
    /// The head that the next attempt would have.
    head: Option<Parts>,
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
    /// Before the first attempt, whose head is given back, or not.
    pub(super) fn new(wants_head: bool) -> Self {
        Self(Arc::new(Shared { wants_head: AtomicBool::new(wants_head), ..Shared::default() }))
    }

    /// Those so far.
    pub(crate) fn endpoints(&self) -> Endpoints {
        if !self.0.has_begun.load(Ordering::Acquire) {
            return Endpoints::default();
        }
        self.lock().endpoints
    }

    /// A further attempt has an endpoint.
    pub(crate) fn begin(&self, permit: &Permit) {
        let mut state = self.lock();
        let State { endpoints, current, .. } = &mut *state;
        self.0.waits.store(false, Ordering::Release);
        if let Some(place) = endpoints.indices.get_mut(endpoints.len) {
            *place = permit.index();
            endpoints.len += 1;
        }
        *current = Some((Arc::clone(permit.cluster()), permit.index()));
        self.0.has_begun.store(true, Ordering::Release);
    }

    /// Whoever has made use of the head of the next attempt is to give it back, or not.
    pub(super) fn want_head(&self, wanted: bool) {
        self.0.wants_head.store(wanted, Ordering::Release);
    }

    /// Whether the head is to be [given back](Self::give_back).
    pub fn wants_head(&self) -> bool {
        self.0.wants_head.load(Ordering::Acquire)
    }

    /// The head of the attempt under way, as the next one is to have it; once for an attempt. It
    /// must not hold this very value, which is taken out of its extensions before: they would keep
    /// each other for ever.
    pub fn give_back(&self, head: Parts) {
        if self.0.wants_head.swap(false, Ordering::AcqRel) {
            self.lock().head = Some(head);
        }
    }

    /// The head that was given back.
    pub(super) fn head(&self) -> Option<Parts> {
        self.lock().head.take()
    }

    /// An attempt waits for an endpoint to have room, until it [begins](Self::begin).
    pub(crate) fn wait(&self) {
        self.0.waits.store(true, Ordering::Release);
    }

    /// Whether the attempt under way has no endpoint so far.
    pub(super) fn waits(&self) -> bool {
        self.0.waits.load(Ordering::Acquire)
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
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy of the head of a request, without the [`Tried`] in it.
pub(crate) fn copy_of_head(request: &Request<Body>) -> Parts {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy.extensions_mut().remove::<Tried>();
    copy.into_parts().0
}
