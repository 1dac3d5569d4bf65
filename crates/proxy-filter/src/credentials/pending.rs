//! How many passwords of one client are being checked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use proxy_core::{ClientAddr, ClientKey};

use super::pool::QUEUE;

/// Checks of one client (IPv4 address or IPv6 /64) at a time, while fewer than half of the places
/// are taken.
const MAX_OF_A_CLIENT: usize = 16;
/// And from then on: a few clients can not shut out all others.
const MAX_WHEN_MANY_WAIT: usize = 2;

/// Counts the checks that wait or run. The pool's queue bounds how many clients there are.
#[derive(Clone, Default)]
pub(super) struct Pending(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    of: HashMap<ClientKey, usize>,
    all: usize,
}

/// A place of a client, which it gives back when it is dropped.
pub(super) struct Place {
    pending: Pending,
    client: ClientKey,
}

impl Pending {
    /// A place; none where the client has too many already.
    pub(super) fn take(&self, client: ClientAddr) -> Option<Place> {
        let client = client.key(32, 64);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = if counts.all < QUEUE / 2 { MAX_OF_A_CLIENT } else { MAX_WHEN_MANY_WAIT };
        if counts.of.get(&client).is_some_and(|count| *count >= most) {
            return None;
        }
        *counts.of.entry(client).or_default() += 1;
        counts.all += 1;
        Some(Place { pending: self.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.pending.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(count) = counts.of.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.of.remove(&self.client);
            }
        }
    }
}
