//! Collapsed requests: a flight is one request upstream that several exchanges wait for.
//!
//! Like a [fill](crate::fill), it is driven by whoever waits: the exchange that began it may leave,
//! and the others carry on.

use std::collections::HashMap;
use std::future::Future;
use std::hash::BuildHasherDefault;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use crate::fill::Fill;
use crate::shared::Epoch;
use crate::store::{KeyHash, Stored};
use crate::wakers::{Ticket, Wakers};

/// What came of a request upstream, for all who wait.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    /// Content that all may read.
    Fill(Arc<Fill>),
    /// A stored response that upstream has confirmed.
    Validated(Arc<Stored>),
    /// A stored response, because upstream failed.
    Stale(Arc<Stored>),
    /// Nothing that could be shared: the leader has its own answer, the others go by themselves.
    Own,
}

/// A request upstream, up to its response head.
pub(crate) type Fetch = Pin<Box<dyn Future<Output = Arrival> + Send>>;

/// See the [module](self).
pub(crate) struct Flight {
    state: Mutex<State>,
    wakers: Arc<Wakers>,
    /// The table that it may stand in.
    flights: Arc<Flights>,
    key: KeyHash,
    /// When it began.
    pub(crate) epoch: Epoch,
}

struct State {
    phase: Phase,
    members: usize,
    /// The last poll gave nothing.
    idle: bool,
}

enum Phase {
    Fetching(Fetch),
    /// Held until every member has taken it.
    Arrived(Arrival),
    /// Its fill goes on, for whoever still comes.
    Filling(Weak<Fill>),
    Over,
}

/// How a newcomer finds a flight.
pub(crate) enum Found {
    /// It may wait for it.
    Waiting(Member),
    /// The response is there, and its content perhaps still comes.
    Filling(Arc<Fill>),
    /// It is of no use.
    Over,
}

/// One exchange's part in a flight.
pub(crate) struct Member {
    flight: Arc<Flight>,
    ticket: Ticket,
    /// Called where this was the last member, and nothing has arrived.
    abandoned: Option<Box<dyn FnOnce(Member) + Send>>,
}

impl Flight {
    /// `make` is given a handle on the flight that its fetch will be. The one who began it has a
    /// place in it already: [`Flight::leader`].
    pub(crate) fn new(
        flights: &Arc<Flights>,
        key: KeyHash,
        epoch: Epoch,
        make: impl FnOnce(&Weak<Self>) -> Fetch,
    ) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            state: Mutex::new(State { phase: Phase::Fetching(make(own)), members: 1, idle: false }),
            wakers: Arc::default(),
            flights: Arc::clone(flights),
            key,
            epoch,
        })
    }

    /// The place of the one who began it; to be taken once.
    pub(crate) fn leader(self: &Arc<Self>) -> Member {
        Member { ticket: self.wakers.ticket(), flight: Arc::clone(self), abandoned: None }
    }

    /// Joins it.
    pub(crate) fn join(self: &Arc<Self>) -> Found {
        let mut state = self.lock();
        match &state.phase {
            Phase::Fetching(_) | Phase::Arrived(_) => {
                state.members += 1;
                Found::Waiting(self.leader())
            }
            Phase::Filling(fill) => match fill.upgrade() {
                Some(fill) => {
                    drop(state);
                    if fill.is_joinable() { Found::Filling(fill) } else { Found::Over }
                }
                None => Found::Over,
            },
            Phase::Over => Found::Over,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What panicked is not polled again.
        self.state.lock().unwrap_or_else(|poisoned| {
            self.state.clear_poison();
            let mut state = PoisonError::into_inner(poisoned);
            if matches!(state.phase, Phase::Fetching(_)) {
                state.phase = Phase::Arrived(Arrival::Own);
            }
            state
        })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.forget_dead(&self.key);
    }
}

impl Member {
    /// Says what happens where this is the last member, and leaves before the arrival.
    pub(crate) fn when_abandoned(&mut self, act: Box<dyn FnOnce(Member) + Send>) {
        self.abandoned = Some(act);
    }
}

impl Future for Member {
    type Output = Arrival;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Arrival> {
        let this = self.get_mut();
        this.flight.wakers.wait(this.ticket, cx);
        let mut state = this.flight.lock();
        let state = &mut *state;
        match &mut state.phase {
            Phase::Fetching(fetch) => {
                if state.idle && !this.flight.wakers.take_woken() {
                    return Poll::Pending;
                }
                this.flight.wakers.take_woken();
                let waker = Waker::from(Arc::clone(&this.flight.wakers));
                let poll = fetch.as_mut().poll(&mut Context::from_waker(&waker));
                state.idle = poll.is_pending();
                let Poll::Ready(arrival) = poll else { return Poll::Pending };
                state.phase = Phase::Arrived(arrival.clone());
                this.flight.wakers.wake_all();
                Poll::Ready(arrival)
            }
            Phase::Arrived(arrival) => Poll::Ready(arrival.clone()),
            Phase::Filling(fill) => Poll::Ready(fill.upgrade().map_or(Arrival::Own, Arrival::Fill)),
            Phase::Over => Poll::Ready(Arrival::Own),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.flight.wakers.leave(self.ticket);
        let mut state = self.flight.lock();
        if state.members == 1
            && matches!(state.phase, Phase::Fetching(_))
            && let Some(act) = self.abandoned.take()
        {
            drop(state);
            // Its place goes over to whoever carries on.
            return act(self.flight.leader());
        }
        state.members -= 1;
        if state.members > 0 {
            return;
        }
        let next = match &state.phase {
            Phase::Arrived(Arrival::Fill(fill)) => Phase::Filling(Arc::downgrade(fill)),
            Phase::Filling(_) => return,
            Phase::Fetching(_) | Phase::Arrived(_) | Phase::Over => Phase::Over,
        };
        let ended = std::mem::replace(&mut state.phase, next);
        // What ends here may end a fill, which has locks of its own.
        drop(state);
        drop(ended);
    }
}

/// The flights under way, by key.
#[derive(Default)]
pub(crate) struct Flights {
    shards: [Mutex<Shard>; SHARDS],
}

const SHARDS: usize = 16;

type Shard = HashMap<KeyHash, Vec<Weak<Flight>>, BuildHasherDefault<KeyHasher>>;

impl Flights {
    /// Those of a key.
    pub(crate) fn of(&self, key: &KeyHash) -> Vec<Arc<Flight>> {
        // They leave the lock alive: dropping the last handle on one comes back to the table.
        let shard = self.shard(key);
        shard.get(key).into_iter().flatten().filter_map(Weak::upgrade).collect()
    }

    /// Adds the flight that `make` makes, unless the key has one that the caller has not seen.
    pub(crate) fn add(
        &self,
        key: KeyHash,
        seen: &[Arc<Flight>],
        make: impl FnOnce() -> Arc<Flight>,
    ) -> Option<Arc<Flight>> {
        let mut shard = self.shard(&key);
        let flights = shard.entry(key).or_default();
        let is_seen = |known: &Weak<Flight>| {
            known.strong_count() == 0
                || seen.iter().any(|seen| std::ptr::eq(Arc::as_ptr(seen), known.as_ptr()))
        };
        if !flights.iter().all(is_seen) {
            return None;
        }
        let flight = make();
        flights.push(Arc::downgrade(&flight));
        Some(flight)
    }

    /// Forgets one.
    pub(crate) fn remove(&self, key: &KeyHash, flight: &Arc<Flight>) {
        self.retain(key, |known| !std::ptr::eq(known.as_ptr(), Arc::as_ptr(flight)));
    }

    /// Forgets those that nobody holds.
    fn forget_dead(&self, key: &KeyHash) {
        self.retain(key, |_| true);
    }

    fn retain(&self, key: &KeyHash, keep: impl Fn(&Weak<Flight>) -> bool) {
        let mut shard = self.shard(key);
        if let Some(flights) = shard.get_mut(key) {
            flights.retain(|known| known.strong_count() > 0 && keep(known));
            if flights.is_empty() {
                shard.remove(key);
            }
        }
    }

    /// Keys with a flight, for `GET /cache`.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn shard(&self, key: &KeyHash) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(key.0[0]) % SHARDS])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A key is a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyHasher(u64);

impl std::hash::Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        let mut eight = [0; 8];
        let n = bytes.len().min(8);
        eight[..n].copy_from_slice(&bytes[..n]);
        self.0 ^= u64::from_le_bytes(eight);
    }
    fn write_usize(&mut self, _: usize) {}
}
