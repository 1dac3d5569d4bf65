//! Counts in total and for each client, with a guard for each place taken.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use proxy_core::{ClientAddr, ClientKey};

/// IPv4 clients count one by one, IPv6 clients by network.
const PREFIXES: (u8, u8) = (32, 64);

/// A limit in total and for each client.
#[derive(Clone, Debug)]
pub struct Limiter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    total: AtomicUsize,
    per_client: AtomicUsize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    clients: HashMap<ClientKey, usize>,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReached {
    /// The total.
    Total,
    /// This client's.
    Client,
}

impl Limiter {
    /// At most `total` places, at most `per_client` of them for one client.
    pub fn new(total: usize, per_client: usize) -> Self {
        let (total, per_client) = (AtomicUsize::new(total), AtomicUsize::new(per_client));
        Self { inner: Arc::new(Inner { total, per_client, taken: Mutex::default() }) }
    }

    /// Other limits from now on. Who has a place keeps it.
    pub fn set_limits(&self, total: usize, per_client: usize) {
        self.inner.total.store(total, Ordering::Relaxed);
        self.inner.per_client.store(per_client, Ordering::Relaxed);
    }

    /// Takes a place.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn take(&self, client: ClientAddr) -> Result<Place, LimitReached> {
        let key = client.key(PREFIXES.0, PREFIXES.1);
        let mut taken = self.inner.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.total >= self.inner.total.load(Ordering::Relaxed) {
            return Err(LimitReached::Total);
        }
        let count = taken.clients.entry(key).or_insert(0);
        // Who has no address of their own, a unix socket's peer or the clients of a trusted
        // proxy, share no limit but the total.
        if client.is_known() && *count >= self.inner.per_client.load(Ordering::Relaxed) {
            return Err(LimitReached::Client);
        }
        *count += 1;
        taken.total += 1;
        Ok(Place { limiter: self.clone(), key, in_total: true })
    }

    /// Takes a place among one client's only: its connection has one in the total already.
    ///
    /// # Errors
    /// The client's limit.
    pub fn take_for_client(&self, client: ClientAddr) -> Result<Place, LimitReached> {
        let mut place = self.take(client)?;
        place.in_total = false;
        self.inner.taken.lock().unwrap_or_else(PoisonError::into_inner).total -= 1;
        Ok(place)
    }

    /// Places taken now.
    pub fn taken(&self) -> usize {
        self.inner.taken.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

/// A place taken; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    limiter: Limiter,
    key: ClientKey,
    in_total: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.limiter.inner.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total -= usize::from(self.in_total);
        if let Some(count) = taken.clients.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.clients.remove(&self.key);
            }
        }
        if taken.clients.is_empty() {
            taken.clients.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back() {
        let client = |n: u8| ClientAddr::new([192, 0, 2, n].into());
        let limiter = Limiter::new(3, 2);
        let first = limiter.take(client(1)).expect("free");
        let _second = limiter.take(client(1)).expect("free");
        assert_eq!(limiter.take(client(1)).err(), Some(LimitReached::Client));
        let _third = limiter.take(client(2)).expect("free");
        assert_eq!(limiter.take(client(3)).err(), Some(LimitReached::Total));
        drop(first);
        assert!(limiter.take(client(1)).is_ok());
        assert_eq!(limiter.taken(), 2);
    }
}
