//! `UsersHandle`: users that may be swapped while they are asked for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::htpasswd::Users;

/// Users while they are in use. A clone is the same.
#[derive(Clone)]
pub struct UsersHandle(Arc<Slot>);

struct Slot {
    current: ArcSwap<Users>,
    /// How often they were swapped: what was known of the ones before is worth nothing.
    generation: AtomicU64,
}

impl UsersHandle {
    /// The users in use.
    pub fn current(&self) -> Arc<Users> {
        self.0.current.load_full()
    }

    /// Puts others in their place. Pairs that were right are checked anew, and who has been taken
    /// out of the file is out with the next request.
    pub fn renew(&self, users: Users) {
        self.0.current.store(Arc::new(users));
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    /// Which users they are. Ask for it before [`current`](Self::current): a swap in between then
    /// makes what is found out worthless, and not the other way round.
    pub(super) fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }
}

impl From<Users> for UsersHandle {
    fn from(users: Users) -> Self {
        let current = ArcSwap::from_pointee(users);
        Self(Arc::new(Slot { current, generation: AtomicU64::new(0) }))
    }
}

impl fmt::Debug for UsersHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UsersHandle").field(&self.0.current.load()).finish()
    }
}
