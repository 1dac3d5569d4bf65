//! UDP sockets by their address, for as long as anybody has them: an endpoint keeps its socket until
//! the last of its connections has ended, though no listener names it any more.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use proxy_server::{BoundUdp, WeakUdp};

/// The sockets. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Lingering(Arc<Mutex<BTreeMap<SocketAddr, WeakUdp>>>);

impl Lingering {
    /// The one at an address.
    pub(super) fn get(&self, address: SocketAddr) -> Option<BoundUdp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&address)?.upgrade()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<BoundUdp> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().filter_map(WeakUdp::upgrade).collect()
    }

    pub(super) fn add(&self, address: SocketAddr, socket: &BoundUdp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, own| own.upgrade().is_some());
        all.insert(address, socket.downgrade());
    }
}
