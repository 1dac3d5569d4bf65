//! `ConnectionActivity`: what happens on a connection while it lives, for whoever lists open
//! connections.
//!
//! Exchanges and the server write to it; the price of a request is a few plain stores and at most
//! three locks that nobody else wants.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Version;

use crate::client_address::ClientAddr;
use crate::trust::Announced;

/// The longest host that is kept: no name is longer (RFC 1035 section 2.3.4), with a port.
const LONGEST_HOST: usize = 255 + 6;

/// What happens on a connection. All counts are approximate while it is busy.
#[derive(Debug, Default)]
pub struct ConnectionActivity {
    /// 0: nobody has said which one is spoken.
    protocol: AtomicU8,
    requests: AtomicU64,
    under_way: AtomicU32,
    received: AtomicU64,
    sent: AtomicU64,
    /// Where the text of the last route's name lies: most requests have the route of the one
    /// before, and need no lock. The name is kept alive by `last`, so that no other lies there.
    route_at: AtomicUsize,
    last: Mutex<Last>,
    /// What upstreams were told of its client with the request before.
    announced: Mutex<Option<Box<Announced>>>,
}

/// What the last request was about.
#[derive(Debug, Default)]
struct Last {
    host: String,
    route: Option<Arc<str>>,
    client: Option<ClientAddr>,
}

/// What the latest request of a connection was about, as far as that is known: under way, or
/// answered already.
#[derive(Clone, Debug, Default)]
pub struct LatestRequest {
    /// The host it is for, with the port where one was given, as the client wrote it.
    pub host: Option<Arc<str>>,
    /// The name of its route.
    pub route: Option<Arc<str>>,
    /// The client that a trusted peer vouches for, where that is not the peer itself.
    pub client: Option<ClientAddr>,
}

impl ConnectionActivity {
    /// Says which version of HTTP is spoken.
    pub fn set_protocol(&self, version: Version) {
        let number = match version {
            Version::HTTP_2 => 2,
            Version::HTTP_3 => 3,
            _ => 1,
        };
        self.protocol.store(number, Ordering::Relaxed);
    }

    /// Which version of HTTP is spoken; none before that is known.
    pub fn protocol(&self) -> Option<Version> {
        match self.protocol.load(Ordering::Relaxed) {
            0 => None,
            2 => Some(Version::HTTP_2),
            3 => Some(Version::HTTP_3),
            _ => Some(Version::HTTP_11),
        }
    }

    /// A request has begun. It is under way until what this gives is dropped.
    pub fn begin_request(self: &Arc<Self>) -> UnderWay {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Requests so far, those under way included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests that are read or answered at the moment.
    pub fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Counts bytes that came. For the one task that reads the connection.
    pub fn add_received(&self, n: usize) {
        add(&self.received, n);
    }

    /// Counts bytes that went out. For the one task that writes the connection.
    pub fn add_sent(&self, n: usize) {
        add(&self.sent, n);
    }

    /// Bytes that came.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes that went out.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The host of a request: text without control characters. One that is too long, or has
    /// userinfo, is left out.
    pub fn note_host(&self, host: &str) {
        let mut last = self.last();
        if last.host != host {
            last.host.clear();
            if host.len() <= LONGEST_HOST && !host.contains('@') {
                last.host.push_str(host);
            }
        }
    }

    /// The route of a request.
    pub fn note_route(&self, name: &Arc<str>) {
        let at = name.as_ptr() as usize;
        if self.route_at.load(Ordering::Relaxed) != at {
            let mut last = self.last();
            last.route = Some(Arc::clone(name));
            self.route_at.store(at, Ordering::Relaxed);
        }
    }

    /// Whom a trusted peer speaks for.
    pub fn note_client(&self, client: ClientAddr) {
        self.last().client = Some(client);
    }

    /// What the latest request was about.
    pub fn latest(&self) -> LatestRequest {
        let last = self.last();
        LatestRequest {
            host: (!last.host.is_empty()).then(|| last.host.as_str().into()),
            route: last.route.clone(),
            client: last.client,
        }
    }

    /// What upstreams were told of its client with the request before.
    pub(crate) fn announced(&self) -> MutexGuard<'_, Option<Box<Announced>>> {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There is one writer: no other's count is lost, and nothing is locked.
fn add(count: &AtomicU64, n: usize) {
    count.store(count.load(Ordering::Relaxed) + n as u64, Ordering::Relaxed);
}

/// A request counts as under way while this lives.
#[derive(Debug)]
pub struct UnderWay(Arc<ConnectionActivity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_latest_request_was_about() {
        let activity = Arc::new(ConnectionActivity::default());
        assert_eq!(activity.protocol(), None);
        assert!(activity.latest().host.is_none());
        activity.set_protocol(Version::HTTP_2);
        assert_eq!(activity.protocol(), Some(Version::HTTP_2));
        let first = activity.begin_request();
        activity.note_host("a.test:8080");
        activity.note_route(&"api".into());
        drop(first);
        let _second = activity.begin_request();
        activity.note_route(&"web".into());
        assert_eq!((activity.requests(), activity.under_way()), (2, 1));
        let latest = activity.latest();
        assert_eq!(latest.host.as_deref(), Some("a.test:8080"));
        assert_eq!(latest.route.as_deref(), Some("web"));
    }

    #[test]
    fn a_host_with_userinfo_and_one_without_end_are_not_kept() {
        let activity = ConnectionActivity::default();
        activity.note_host("a.test");
        activity.note_host("anna:secret@b.test");
        assert!(activity.latest().host.is_none());
        activity.note_host(&"x".repeat(LONGEST_HOST + 1));
        assert!(activity.latest().host.is_none());
    }
}
