//! Which endpoints a request was sent to.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Request;
use http::request::Parts;
use proxy_core::Body;

use crate::cluster::{Cluster, Permit};

/// Retries that a request may have, whatever is configured.
pub const MAX_RETRIES: u32 = 7;

/// Rides in the extensions of a request between its retries and whoever chooses an endpoint.
///
/// Most requests have one attempt, for which nothing here is locked but to give its head back.
#[derive(Clone, Debug, Default)]
pub struct Tried(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The endpoints that attempts were sent to, and how many they are. One attempt begins at a time.
    endpoints: [AtomicU16; MAX_RETRIES as usize + 1],
    begun: AtomicUsize,
    /// Whether whoever has made use of the head gives it back, instead of dropping it.
    wants_head: AtomicBool,
    /// The attempt waits for an endpoint to have room.
    waits: AtomicBool,
    /// Whether the attempt may end because its endpoint is found down.
    may_move: AtomicBool,
    /// It was found down.
    is_down: AtomicBool,
    /// Whether an answer may be followed by another attempt, for its status.
    by_status: AtomicBool,
    /// Two attempts are under way, at endpoints of their own.
    is_paired: AtomicBool,
    /// The attempt was given up on: endpoints that had this many nanoseconds for it did not answer. 0:
    /// it was not.
    given_up_after: AtomicU64,
    /// Somebody asks for others while an attempt is under way.
    asks: AtomicBool,
    left: Mutex<Left>,
}

/// What attempts leave behind for the next one.
#[derive(Debug, Default)]
struct Left {
    cluster: Option<Arc<Cluster>>,
    /// The head that it would have.
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

/// Whether an attempt may be followed by another, and after what.
#[derive(Clone, Copy)]
pub(super) struct Followed {
    /// Its head is given back, for it may not be the last.
    pub(super) wants_head: bool,
    /// It may end when its endpoint is found down.
    pub(super) may_move: bool,
    /// An answer may be one that is not good enough.
    pub(super) by_status: bool,
}

impl Tried {
    /// Before the first attempt.
    pub(super) fn new(followed: Followed) -> Self {
        let Followed { wants_head, may_move, by_status } = followed;
        Self(Arc::new(Shared {
            wants_head: AtomicBool::new(wants_head),
            may_move: AtomicBool::new(may_move),
            by_status: AtomicBool::new(by_status),
            ..Shared::default()
        }))
    }

    /// Before a further attempt.
    pub(super) fn again(&self, followed: Followed) {
        let Shared { wants_head, may_move, by_status, is_down, is_paired, waits, .. } = &*self.0;
        wants_head.store(followed.wants_head, Ordering::Release);
        may_move.store(followed.may_move, Ordering::Release);
        by_status.store(followed.by_status, Ordering::Release);
        [is_down, is_paired, waits].into_iter().for_each(|own| own.store(false, Ordering::Release));
        self.0.given_up_after.store(0, Ordering::Release);
    }

    /// Those so far.
    pub(crate) fn endpoints(&self) -> Endpoints {
        let mut endpoints =
            Endpoints { len: self.0.begun.load(Ordering::Acquire), ..Endpoints::default() };
        let known = endpoints.indices.iter_mut().zip(&self.0.endpoints).take(endpoints.len);
        known.for_each(|(index, own)| *index = usize::from(own.load(Ordering::Relaxed)));
        endpoints
    }

    /// A further attempt has an endpoint.
    pub(crate) fn begin(&self, permit: &Permit) {
        let begun = self.0.begun.load(Ordering::Relaxed);
        if let Some(place) = self.0.endpoints.get(begun) {
            place.store(u16::try_from(permit.index()).unwrap_or(u16::MAX), Ordering::Relaxed);
            self.0.begun.store(begun + 1, Ordering::Release);
        }
        self.0.waits.store(false, Ordering::Release);
        if self.0.asks.load(Ordering::Acquire) {
            self.was_at(permit);
        }
    }

    /// Whether the head is to be [given back](Self::give_back).
    pub fn wants_head(&self) -> bool {
        self.0.wants_head.load(Ordering::Acquire)
    }

    /// The head of the attempt under way, as the next one is to have it; once for an attempt. It
    /// must not hold this very value, which is taken out of its extensions before: they would keep
    /// each other for ever.
    pub fn give_back(&self, head: Parts) {
        if self.wants_head() {
            self.0.wants_head.store(false, Ordering::Release);
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

    /// It waits no more, and has got none.
    pub(crate) fn waited_in_vain(&self) {
        self.0.waits.store(false, Ordering::Release);
    }

    /// Whether the attempt under way has no endpoint so far. One of a pair has one.
    pub(super) fn waits(&self) -> bool {
        self.0.waits.load(Ordering::Acquire) && !self.is_paired()
    }

    /// Whether the attempt under way may end because its endpoint is found down; not while it is one
    /// of a [pair](Self::is_paired).
    pub(crate) fn may_move(&self) -> bool {
        self.0.may_move.load(Ordering::Acquire)
    }

    /// Whether an answer may be followed by another attempt.
    pub(crate) fn is_followed_by_status(&self) -> bool {
        self.0.by_status.load(Ordering::Acquire)
    }

    /// A second attempt is made beside the one under way, or one of the two has failed. While there are
    /// two, neither ends for the endpoint of one.
    pub(crate) fn pair(&self, is_paired: bool) {
        self.0.is_paired.store(is_paired, Ordering::Release);
    }

    /// Whether there are two.
    pub(crate) fn is_paired(&self) -> bool {
        self.0.is_paired.load(Ordering::Acquire)
    }

    /// The endpoint of the attempt under way was found down.
    pub(crate) fn found_down(&self, permit: &Permit) {
        self.was_at(permit);
        self.0.is_down.store(true, Ordering::Release);
    }

    /// Whether it was.
    pub(crate) fn is_found_down(&self) -> bool {
        self.0.is_down.load(Ordering::Acquire)
    }

    /// Whether it was, since this was taken the last time.
    pub(super) fn take_found_down(&self) -> bool {
        let is_down = self.is_found_down();
        if is_down {
            self.0.is_down.store(false, Ordering::Release);
        }
        is_down
    }

    /// The attempt under way is given up on: endpoints that had so long for it did not answer.
    pub(super) fn give_up(&self, after: Duration) {
        let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.0.given_up_after.store(nanos, Ordering::Release);
    }

    /// How long an endpoint must have had for it to be to blame, where it was given up on.
    pub(crate) fn given_up_after(&self) -> Option<Duration> {
        let nanos = self.0.given_up_after.load(Ordering::Acquire);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    /// Where an attempt was that may not be the last.
    pub(crate) fn was_at(&self, permit: &Permit) {
        self.lock().cluster = Some(Arc::clone(permit.cluster()));
    }

    /// Attempts say where they are from the beginning: somebody [asks](Self::has_others) while they are
    /// under way.
    pub(crate) fn ask(&self) {
        self.0.asks.store(true, Ordering::Release);
    }

    /// Whether an endpoint is in service that it was not sent to; no, where nobody has said where it
    /// [was](Self::was_at).
    pub(crate) fn has_others(&self) -> bool {
        let cluster = self.lock().cluster.clone();
        cluster.is_some_and(|cluster| cluster.has_others(&self.endpoints()))
    }

    fn lock(&self) -> MutexGuard<'_, Left> {
        self.0.left.lock().unwrap_or_else(PoisonError::into_inner)
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
