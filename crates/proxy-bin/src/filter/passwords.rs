//! Where passwords are checked, and by which key they are remembered.

use std::sync::Arc;

use proxy_core::SystemClock;
use proxy_filter::credentials::{Asks, Credentials, Offload, Pool};

use crate::config::resolved::{self, Resolved};

/// What all listeners with credentials share: some threads, where any has them.
pub(super) struct Passwords {
    offload: Arc<dyn Offload>,
}

impl Passwords {
    pub(super) fn new(config: &Resolved) -> Self {
        let asked = config.listeners.iter().any(|listener| listener.credentials.is_some());
        if !asked {
            return Self { offload: Arc::new(Nowhere) };
        }
        // Half of the cores: whatever is asked, the others serve.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        match Pool::start(cores / 2) {
            Ok(pool) => Self { offload: Arc::new(pool) },
            Err(error) => {
                tracing::error!(%error, "no threads to check passwords: nobody is let in");
                Self { offload: Arc::new(Nowhere) }
            }
        }
    }

    /// The users of a listener.
    pub(super) fn credentials(&self, own: &resolved::Credentials, asks: Asks) -> Credentials {
        let mut key = [0; 32];
        let random = getrandom::fill(&mut key).is_ok();
        let clock = Arc::new(SystemClock);
        let users = own.users.clone();
        let credentials = Credentials::new(users, asks, clock, Arc::clone(&self.offload), key);
        // Without a key that nobody knows, nothing is remembered.
        let remember = if random { own.remember } else { std::time::Duration::ZERO };
        // What is no realm was an error of the configuration.
        credentials.remember(remember).realm_or_default(&own.realm)
    }
}

/// Takes no work.
struct Nowhere;

impl Offload for Nowhere {
    fn offload(&self, _: Box<dyn FnOnce() + Send>) -> bool {
        false
    }
}
