//! Requests that wait while every endpoint is at its limit.
//!
//! Within a [class](Priority) first come, first served, until the first has waited for
//! [`PATIENT`]: from then on the last one is served first, because those before it are likely to be
//! given up on soon. Under lasting overload so some get an answer in time, instead of none.
//!
//! Between classes the higher one comes first, with two exceptions, so that nobody starves: of
//! [`LOW_TURN`] places that become free one is for the lowest class that waits, of [`NORMAL_TURN`]
//! one for the normal class. Where the queue is full a newcomer takes the place of the last that
//! came of the lowest class below its own; but each class keeps a [share](RESERVED) of the queue,
//! which no other takes from it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proxy_core::Clock;
use tokio::sync::oneshot;

use crate::priority::Priority;

/// How long the first may have waited before the last is preferred.
const PATIENT: Duration = Duration::from_millis(100);

/// One of so many calls begins with the lowest class.
const LOW_TURN: u64 = 16;

/// One of so many calls begins with the normal class.
const NORMAL_TURN: u64 = 4;

/// The part of the queue that no other class takes from one: one in so many places.
const RESERVED: usize = 16;

pub(super) struct Queue {
    clock: Arc<dyn Clock>,
    most: AtomicUsize,
    /// Who waits, and who was called and has not come so far.
    waiting: AtomicUsize,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    /// By class, the lowest first; in each the oldest first.
    classes: [VecDeque<Place>; 3],
    /// Those that were called and have not come so far.
    called: usize,
    next_id: u64,
    calls: u64,
}

struct Place {
    id: u64,
    since: Instant,
    call: oneshot::Sender<Call>,
}

/// What somebody who waits is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// There may be room.
    Come,
    /// One of a higher class has the place in the queue.
    Shed,
}

impl Places {
    fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).sum()
    }

    /// The next to be called.
    fn next(&mut self, now: Instant) -> Option<Place> {
        self.calls += 1;
        let order = match self.calls {
            calls if calls.is_multiple_of(LOW_TURN) => [0, 1, 2],
            calls if calls.is_multiple_of(NORMAL_TURN) => [1, 2, 0],
            _ => [2, 1, 0],
        };
        let class = order.into_iter().find(|class| !self.classes[*class].is_empty())?;
        let places = &mut self.classes[class];
        let first = places.front()?;
        match now.saturating_duration_since(first.since) > PATIENT {
            true => places.pop_back(),
            false => places.pop_front(),
        }
    }

    /// Calls the next; `false` where nobody waits.
    fn call_next(&mut self, now: Instant) -> bool {
        while let Some(place) = self.next(now) {
            // Whoever gave up meanwhile is passed over.
            if place.call.send(Call::Come).is_ok() {
                self.called += 1;
                return true;
            }
        }
        false
    }

    /// Makes room for one of this class in a queue of so many places that is full.
    fn shed_for(&mut self, class: Priority, most: usize) -> bool {
        let reserved = (most / RESERVED).max(1);
        let own = class as usize;
        let takes_back = self.classes[own].len() < reserved;
        loop {
            let more = |other: &usize| {
                (takes_back || *other < own)
                    && *other != own
                    && self.classes[*other].len() > reserved
            };
            let Some(lowest) = (0..self.classes.len()).find(more) else { return false };
            // Who gave up meanwhile has left the place to nobody.
            let Some(last) = self.classes[lowest].pop_back() else { return false };
            if last.call.send(Call::Shed).is_ok() {
                return true;
            }
        }
    }
}

impl Queue {
    pub(super) fn new(most: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            most: AtomicUsize::new(most),
            waiting: AtomicUsize::new(0),
            places: Mutex::default(),
        }
    }

    /// Lets so many wait from now on.
    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// How many wait. Who was called counts until it has come: what became free for it is for no
    /// newcomer.
    pub(super) fn len(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A place at the end of its class; `None` where too many wait.
    pub(super) fn enter(&self, class: Priority) -> Option<Waiting<'_>> {
        let since = self.clock.now();
        let mut waiting = Waiting { queue: self, id: 0, class, since, state: State::Gone };
        waiting.enter().then_some(waiting)
    }

    /// A place has become free: one that waits is called.
    pub(super) fn next(&self) {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut places = self.lock();
        places.call_next(self.clock.now());
        self.count(&places);
    }

    /// So many places are free: as many are called, with those that were called before and have not
    /// come so far.
    pub(super) fn fill(&self, free: usize) {
        if free == 0 {
            return;
        }
        let mut places = self.lock();
        if places.called < free {
            let now = self.clock.now();
            while places.called < free && places.call_next(now) {}
            self.count(&places);
        }
    }

    fn count(&self, places: &Places) {
        self.waiting.store(places.len() + places.called, Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue; given up when it is dropped, and then another is called if this one was.
pub(crate) struct Waiting<'a> {
    queue: &'a Queue,
    id: u64,
    class: Priority,
    since: Instant,
    state: State,
}

enum State {
    Gone,
    /// In the queue, until it is called.
    Queued(oneshot::Receiver<Call>),
    /// Called, and not known to be served.
    Called,
}

impl Waiting<'_> {
    /// Once more, in the order of its age, after it was called in vain: the place that it had is
    /// nobody else's.
    pub(crate) fn again(&mut self) {
        self.enter();
    }

    /// `false` where the queue is full.
    fn enter(&mut self) -> bool {
        let (call, called) = oneshot::channel();
        let most = self.queue.most.load(Ordering::Relaxed);
        let mut places = self.queue.lock();
        let was_called = matches!(std::mem::replace(&mut self.state, State::Gone), State::Called);
        places.called -= usize::from(was_called);
        // Who was called may have to come back.
        let is_full = !was_called && places.len() + places.called >= most;
        let full = is_full && (most == 0 || !places.shed_for(self.class, most));
        if !full {
            places.next_id += 1;
            self.id = places.next_id;
            let place = Place { id: self.id, since: self.since, call };
            let own = &mut places.classes[self.class as usize];
            let older = own.partition_point(|other| other.since <= self.since);
            own.insert(older, place);
            self.state = State::Queued(called);
        }
        self.queue.count(&places);
        // What is looked at from here on was given back before anybody could see that we wait, or
        // by somebody who calls.
        fence(Ordering::SeqCst);
        !full
    }

    /// It was called, and has what it came for: nobody else is called in its stead.
    pub(crate) fn served(mut self) {
        let mut places = self.queue.lock();
        if matches!(std::mem::replace(&mut self.state, State::Gone), State::Called) {
            places.called -= 1;
        }
        self.queue.count(&places);
    }

    /// Ends when it is called.
    pub(crate) async fn called(&mut self) -> Call {
        let State::Queued(called) = &mut self.state else { return Call::Come };
        let call = called.await.unwrap_or(Call::Come);
        self.state = match call {
            Call::Come => State::Called,
            Call::Shed => State::Gone,
        };
        call
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut places = self.queue.lock();
        let was_called = match &mut self.state {
            State::Gone => false,
            State::Called => true,
            State::Queued(called) => match called.try_recv() {
                Ok(call) => call == Call::Come,
                Err(_) => {
                    let own = &mut places.classes[self.class as usize];
                    own.retain(|place| place.id != self.id);
                    false
                }
            },
        };
        places.called -= usize::from(was_called);
        self.queue.count(&places);
        drop(places);
        if was_called {
            // It can not come any more: its place is for another.
            self.queue.next();
        }
    }
}

#[cfg(test)]
mod tests;
