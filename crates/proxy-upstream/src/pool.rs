//! Idle connections, for whoever asks next.
//!
//! A [`Pool`] belongs to one destination, so everything in it has the same trust: what differs in
//! name, port or policy has another pool. Each thread keeps a stack of its own and takes from the
//! others' when it has none: a connection that another worker opened is better than a handshake.
//! Caps hold over all stacks.

mod destinations;

use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::connection::OriginConnection;

pub use destinations::Destinations;

/// How long and how many connections are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Idle connections kept, all workers together. Where fewer are kept than a burst has in use, it
    /// closes them and opens others. Default: 1024.
    pub max_idle: usize,
    /// How long one may be idle. Default: 60 s.
    pub idle_timeout: Duration,
    /// How old one may grow before it is not reused. Default: 10 min.
    pub max_age: Duration,
    /// Requests one may carry. Default: 100,000.
    pub max_requests: u32,
    /// Connections open to the destination at a time, idle or not. Default: 4096.
    pub max_connections: usize,
}

impl PoolConfig {
    /// For each of many destinations that clients choose: 256 idle connections.
    pub fn of_many() -> Self {
        Self { max_idle: 256, ..Self::default() }
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_idle: 1024,
            idle_timeout: Duration::from_secs(60),
            max_age: Duration::from_secs(600),
            max_requests: 100_000,
            max_connections: 4096,
        }
    }
}

/// A connection that was idle for longer than this has no buffers any more.
const SHORT_REST: Duration = Duration::from_secs(2);

/// Of so many connections taken from another thread one is opened instead.
const OPEN_INSTEAD: usize = 8;

/// Idle connections to one destination. A clone is the same pool.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    config: PoolConfig,
    stacks: Box<[Mutex<Vec<Idle>>]>,
    /// Connections taken from another thread's stack so far.
    taken_elsewhere: AtomicUsize,
    idle: AtomicUsize,
    open: Arc<AtomicUsize>,
    unfinished: Arc<AtomicUsize>,
}

struct Idle {
    connection: Box<OriginConnection>,
    since: Instant,
}

impl Idle {
    fn is_usable(&mut self, now: Instant) -> bool {
        self.connection.is_usable(now.duration_since(self.since))
    }
}

/// An open connection's place in `max_connections`, or another that is counted while it lasts.
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Pool {
    /// An empty pool.
    pub fn new(config: PoolConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                stacks: (0..shards::COUNT).map(|_| Mutex::default()).collect(),
                taken_elsewhere: AtomicUsize::new(0),
                idle: AtomicUsize::new(0),
                open: Arc::default(),
                unfinished: Arc::default(),
            }),
        }
    }

    /// Idle connections now.
    pub fn idle(&self) -> usize {
        self.shared.idle.load(Ordering::Relaxed)
    }

    /// Open connections now, idle ones included.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Whether it has a connection, or somebody besides the caller who may be about to open one:
    /// forgotten then, its connection would be lost to those who come after, and to the limits.
    /// Nobody else must be able to get at the pool meanwhile.
    fn is_in_use(&self) -> bool {
        // In this order: whoever is gone by now has left what it opened, and nobody opens more.
        let is_shared = Arc::strong_count(&self.shared) > 1;
        fence(Ordering::Acquire);
        is_shared || self.open() > 0
    }

    /// A place for a new connection; `None` where there are too many.
    pub(crate) fn place(&self) -> Option<Place> {
        let max = self.shared.config.max_connections;
        let taken = self.shared.open.fetch_add(1, Ordering::AcqRel);
        let place = Place(Arc::clone(&self.shared.open));
        (taken < max).then_some(place)
    }

    /// Requests whose response is whole and that are still being sent.
    pub fn unfinished(&self) -> usize {
        self.shared.unfinished.load(Ordering::Acquire)
    }

    /// A request outlives its response, for as long as this is kept.
    pub(crate) fn outliving(&self) -> Place {
        self.shared.unfinished.fetch_add(1, Ordering::AcqRel);
        Place(Arc::clone(&self.shared.unfinished))
    }

    /// The connection that was used last and is still good.
    pub(crate) fn take(&self) -> Option<Box<OriginConnection>> {
        if self.idle() == 0 {
            return None;
        }
        let own = shards::own();
        let now = Instant::now();
        if let Some(connection) = self.take_from(own, now) {
            return Some(connection);
        }
        // A connection wakes the thread that opened it, whoever uses it: borrowed for ever it
        // would cost a switch of threads each time. So now and then one is opened here instead.
        let taken = self.shared.taken_elsewhere.fetch_add(1, Ordering::Relaxed);
        if taken % OPEN_INSTEAD == OPEN_INSTEAD - 1
            && self.open() < self.shared.config.max_connections
        {
            return None;
        }
        (1..shards::COUNT).find_map(|n| self.take_from((own + n) % shards::COUNT, now))
    }

    fn take_from(&self, shard: usize, now: Instant) -> Option<Box<OriginConnection>> {
        while let Some(mut idle) = self.pop(shard) {
            if self.may_be_reused(&idle, now) && idle.is_usable(now) {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Keeps a connection, if it is worth keeping, for the thread that opened it first of all.
    pub(crate) fn put(&self, mut connection: Box<OriginConnection>) {
        let now = Instant::now();
        if !connection.is_reusable()
            || connection.requests >= self.shared.config.max_requests
            || now.duration_since(connection.opened) >= self.shared.config.max_age
        {
            return;
        }
        if self.shared.idle.fetch_add(1, Ordering::AcqRel) >= self.shared.config.max_idle {
            self.shared.idle.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        let busy = connection.rest();
        let home = connection.home;
        lock(&self.shared.stacks[home]).push(Idle { connection, since: now });
        drop(busy);
    }

    /// Closes what has been idle for too long. Call it every few seconds.
    pub fn sweep(&self) {
        let now = Instant::now();
        for stack in &self.shared.stacks {
            let mut stack = lock(stack);
            let before = stack.len();
            stack.retain_mut(|idle| {
                if now.duration_since(idle.since) > SHORT_REST {
                    idle.connection.shrink();
                }
                self.may_be_reused(idle, now) && idle.is_usable(now)
            });
            self.shared.idle.fetch_sub(before - stack.len(), Ordering::AcqRel);
            if stack.is_empty() {
                *stack = Vec::new();
            }
        }
    }

    fn pop(&self, shard: usize) -> Option<Idle> {
        let idle = lock(&self.shared.stacks[shard]).pop()?;
        self.shared.idle.fetch_sub(1, Ordering::AcqRel);
        Some(idle)
    }

    fn may_be_reused(&self, idle: &Idle, now: Instant) -> bool {
        let config = &self.shared.config;
        now.duration_since(idle.since) < config.idle_timeout
            && now.duration_since(idle.connection.opened) < config.max_age
            && idle.connection.requests < config.max_requests
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("idle", &self.idle()).field("open", &self.open()).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which stack is a thread's own. Threads are numbered as they come; more threads than stacks
/// share them.
pub(crate) mod shards {
    use std::sync::atomic::{AtomicUsize, Ordering};

    pub(super) const COUNT: usize = 16;

    static NEXT: AtomicUsize = AtomicUsize::new(0);

    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
    }

    pub(crate) fn own() -> usize {
        OWN.with(|own| *own)
    }
}
