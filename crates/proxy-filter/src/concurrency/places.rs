//! Places for each key, and the lines before them.
//!
//! What is kept of a key is kept only while somebody has a place or waits: the table is as large as
//! the number of requests under way, which connections and streams limit.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

const SHARDS: usize = 32;

/// Places by key.
#[derive(Debug)]
pub struct Places {
    shards: [Mutex<HashMap<u64, Line>>; SHARDS],
    hasher: RandomState,
    places: usize,
    queue: usize,
}

#[derive(Debug, Default)]
struct Line {
    taken: usize,
    waiting: VecDeque<Arc<Waiter>>,
}

#[derive(Debug, Default)]
struct Waiter(Mutex<Turn>);

#[derive(Debug, Default)]
struct Turn {
    came: bool,
    waker: Option<Waker>,
}

/// What an arrival gets.
#[derive(Debug)]
pub enum Arrival {
    /// A place.
    Place(Place),
    /// A number in line.
    Ticket(Ticket),
    /// Nothing: the line is full.
    Full,
}

/// A place; given to the next when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    key: u64,
}

/// A number in line. Dropped, it leaves the line, and gives on the place that it may have got.
#[derive(Debug)]
pub struct Ticket {
    /// Empty once its place was taken.
    places: Option<Arc<Places>>,
    key: u64,
    waiter: Arc<Waiter>,
}

impl Places {
    /// So many places and so many waiting, for each key.
    pub fn new(places: usize, queue: usize) -> Self {
        Self { shards: Default::default(), hasher: RandomState::new(), places, queue }
    }

    /// Hashes a key.
    pub fn hash(&self, key: impl Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    /// How many places of a key are taken, and how many wait.
    pub fn look(&self, key: u64) -> (usize, usize) {
        self.shard(key).get(&key).map_or((0, 0), |line| (line.taken, line.waiting.len()))
    }

    /// Arrives: takes a place, or a number.
    pub fn arrive(self: &Arc<Self>, key: u64) -> Arrival {
        let mut shard = self.shard(key);
        let line = shard.entry(key).or_default();
        // Where somebody waits all places are taken, or given away.
        if line.taken < self.places {
            line.taken += 1;
            return Arrival::Place(Place { places: Arc::clone(self), key });
        }
        if line.waiting.len() >= self.queue {
            return Arrival::Full;
        }
        let waiter = Arc::new(Waiter::default());
        line.waiting.push_back(Arc::clone(&waiter));
        Arrival::Ticket(Ticket { places: Some(Arc::clone(self)), key, waiter })
    }

    /// Gives a place to the first in line, or frees it.
    fn give_back(&self, key: u64) {
        let mut shard = self.shard(key);
        let Some(line) = shard.get_mut(&key) else { return };
        let Some(next) = line.waiting.pop_front() else {
            line.taken -= 1;
            if line.taken == 0 {
                shard.remove(&key);
            }
            return;
        };
        let waker = {
            let mut turn = next.lock();
            turn.came = true;
            turn.waker.take()
        };
        drop(shard);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, HashMap<u64, Line>> {
        // Counting does not panic half way.
        self.shards[(key >> 32) as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    fn lock(&self) -> MutexGuard<'_, Turn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(self.key);
    }
}

impl Ticket {
    /// Ready with the place when its turn has come. Not polled again after that.
    pub fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<Place> {
        let mut turn = self.waiter.lock();
        if turn.came
            && let Some(places) = self.places.take()
        {
            return Poll::Ready(Place { places, key: self.key });
        }
        match &mut turn.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(places) = self.places.take() else { return };
        {
            let mut shard = places.shard(self.key);
            // Turns come under this lock, so it is known here whether this one's came.
            if !self.waiter.lock().came {
                if let Some(line) = shard.get_mut(&self.key) {
                    line.waiting.retain(|other| !Arc::ptr_eq(other, &self.waiter));
                }
                return;
            }
        }
        places.give_back(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxy_testkit::WakeCount;

    fn place(arrival: Arrival) -> Place {
        match arrival {
            Arrival::Place(place) => place,
            other => panic!("{other:?}"),
        }
    }

    fn ticket(arrival: Arrival) -> Ticket {
        match arrival {
            Arrival::Ticket(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn places_are_given_in_the_order_of_arrival() {
        let places = Arc::new(Places::new(1, 3));
        let held = place(places.arrive(7));
        let mut line: Vec<Ticket> = (0..3).map(|_| ticket(places.arrive(7))).collect();
        assert!(matches!(places.arrive(7), Arrival::Full));
        // Another key has places of its own.
        drop(place(places.arrive(8)));
        let mut held = Some(held);
        for n in 0..3 {
            let wakes: Vec<WakeCount> = line.iter().map(|_| WakeCount::new()).collect();
            for (ticket, wakes) in line.iter_mut().zip(&wakes) {
                assert!(wakes.poll(|cx| ticket.poll_place(cx)).is_pending());
            }
            held.take();
            let woken: Vec<usize> = wakes.iter().map(WakeCount::count).collect();
            assert_eq!(woken.iter().sum::<usize>(), 1, "{n}: {woken:?}");
            assert_eq!(woken[0], 1);
            let mut first = line.remove(0);
            let Poll::Ready(next) = WakeCount::new().poll(|cx| first.poll_place(cx)) else {
                panic!("its turn had come");
            };
            held = Some(next);
        }
        drop(held);
        assert_eq!(places.look(7), (0, 0));
        assert!(places.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn who_leaves_the_line_makes_room() {
        let places = Arc::new(Places::new(1, 2));
        let held = place(places.arrive(1));
        let first = ticket(places.arrive(1));
        let mut second = ticket(places.arrive(1));
        drop(first);
        assert_eq!(places.look(1), (1, 1));
        let third = ticket(places.arrive(1));
        drop(held);
        // The second's turn has come, and it is dropped without having looked: the third's.
        assert!(WakeCount::new().poll(|cx| second.poll_place(cx)).is_ready());
        drop(third);
        drop(second);
        assert_eq!(places.look(1), (0, 0));
    }

    #[test]
    fn a_place_that_came_and_was_not_taken_goes_on() {
        let places = Arc::new(Places::new(1, 2));
        let held = place(places.arrive(1));
        let (first, mut second) = (ticket(places.arrive(1)), ticket(places.arrive(1)));
        drop(held);
        drop(first);
        assert!(WakeCount::new().poll(|cx| second.poll_place(cx)).is_ready());
    }
}
