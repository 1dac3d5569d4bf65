//! How many passwords of one client are being checked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use proxy_core::{ClientAddr, ClientKey};

/// Checks of one client (IPv4 address or IPv6 /64) at a time.
const MAX_OF_A_CLIENT: usize = 16;

/// Counts the checks that wait or run. The pool's queue bounds how many clients there are.
#[derive(Clone, Default)]
pub(super) struct Pending(Arc<Mutex<HashMap<ClientKey, usize>>>);

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
        let count = counts.entry(client).or_default();
        if *count >= MAX_OF_A_CLIENT {
            return None;
        }
        *count += 1;
        Some(Place { pending: self.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.pending.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}
