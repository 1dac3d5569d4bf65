//! Doors: what accepts on the sockets of listeners, and what is served behind them. Listeners come,
//! go and change; connections stay with what they were accepted by, and each of their requests has
//! the service of the moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "http3")]
use proxy_server::QuicDoor;
use proxy_server::{Drain, Limiter, ListenerSettings, Terms, Workers, accept};

use super::sockets::Sockets;
use crate::compose::{Front, Resources, front, listener_settings};
use crate::config::resolved::{Address, Listener, Resolved};
use crate::live::Slot;
use crate::role::RoleService;

/// How long connections that are to go may still begin a request: their answers say that they are
/// the last. Then idle ones are closed.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// What stands around a role.
pub(super) type Whole = Front<RoleService>;

/// The doors of all listeners, by name.
#[derive(Default)]
pub(super) struct Doors {
    open: BTreeMap<String, Listening>,
}

/// A listener.
struct Listening {
    service: Slot<Whole>,
    limiter: Limiter,
    /// What connections are judged by as they come.
    entrance: String,
    doors: BTreeMap<Address, Door>,
}

/// What accepts at an address.
struct Door {
    terms: Terms,
    stop: Drain,
    /// The one on UDP.
    #[cfg(feature = "http3")]
    quic: Option<QuicDoor>,
}

/// What serves.
pub(super) struct Serving<'a> {
    pub(super) config: &'a Resolved,
    pub(super) resources: &'a Resources,
    pub(super) workers: &'a Arc<Workers>,
    pub(super) sockets: &'a Sockets,
}

impl Doors {
    /// Serves these listeners from now on, and no others.
    pub(super) fn set(&mut self, listeners: &[(Listener, RoleService)], serving: &Serving<'_>) {
        let gone = |name: &String| !listeners.iter().any(|(listener, _)| listener.name == *name);
        for (name, listening) in self.open.extract_if(.., |name, _| gone(name)) {
            for (address, door) in listening.doors {
                door.close(serving.sockets.get(&name, &address).is_some());
            }
        }
        for (listener, role) in listeners {
            let service = front(serving.config, listener, serving.resources, role.clone());
            let limits = &listener.limits;
            let (most, per_client) = (limits.connections, limits.connections_per_client);
            let open = self.open.entry(listener.name.clone());
            let listening = open.or_insert_with(|| Listening {
                service: Slot::new(service.clone()),
                limiter: Limiter::new(most, per_client),
                entrance: entrance(listener),
                doors: BTreeMap::new(),
            });
            listening.service.set(service);
            listening.limiter.set_limits(most, per_client);
            listening.set(listener, serving);
        }
    }
}

impl Doors {
    /// Accepts what waits in the queues of the sockets, and nothing more.
    pub(super) fn last_call(&self) {
        let doors = self.open.values().flat_map(|listening| listening.doors.values());
        doors.for_each(|door| door.stop.drain());
    }

    /// Accepts nothing more. What waits in the queues of the sockets is for who has them too.
    pub(super) fn stop_accepting(&mut self) {
        let doors = self.open.values_mut().flat_map(|listening| listening.doors.values_mut());
        for door in doors {
            // What waits in the queue is for who follows.
            door.stop.end();
            #[cfg(feature = "http3")]
            {
                door.quic = None;
            }
        }
    }
}

impl Listening {
    fn set(&mut self, listener: &Listener, serving: &Serving<'_>) {
        let settings = Arc::new(listener_settings(serving.config, listener, serving.resources));
        let entrance = entrance(listener);
        let judged_anew = std::mem::replace(&mut self.entrance, entrance.clone()) != entrance;
        let gone = |address: &Address| !listener.addresses.contains(address);
        for (address, door) in self.doors.extract_if(.., |address, _| gone(address)) {
            door.close(serving.sockets.get(&listener.name, &address).is_some());
        }
        for door in self.doors.values() {
            if judged_anew {
                // Those that are there were judged by what holds no more.
                let drain = serving.resources.drain.part();
                retire(door.terms.replace(Arc::clone(&settings), drain));
            } else {
                door.terms.set_settings(Arc::clone(&settings));
            }
        }
        for address in &listener.addresses {
            self.open(listener, address, &settings, serving);
        }
    }

    fn open(
        &mut self,
        listener: &Listener,
        address: &Address,
        settings: &Arc<ListenerSettings>,
        serving: &Serving<'_>,
    ) {
        let Serving { resources, workers, sockets, .. } = serving;
        let Some(open) = sockets.get(&listener.name, address) else { return };
        if !self.doors.contains_key(address) {
            let socket = match open.second() {
                Ok(socket) => socket,
                Err(error) => {
                    tracing::error!(%error, %address, "no descriptor is left for a listener");
                    return;
                }
            };
            let drain = &resources.drain;
            let terms = Terms::new(Arc::clone(settings), drain.part());
            let stop = drain.part();
            let accepting = accept(
                socket,
                terms.clone(),
                self.service.live(),
                Arc::clone(workers),
                self.limiter.clone(),
                stop.clone(),
            );
            let name = listener.name.clone();
            tokio::spawn(async move {
                if let Err(error) = accepting.await {
                    tracing::error!(%error, listener = name, "a socket can not be used");
                }
            });
            let door = Door {
                terms,
                stop,
                #[cfg(feature = "http3")]
                quic: None,
            };
            self.doors.insert(address.clone(), door);
        }
        #[cfg(feature = "http3")]
        if let Some(door) = self.doors.get_mut(address) {
            let (service, limiter, drain) = (&self.service, &self.limiter, &resources.drain);
            let serves =
                super::quic::Serves { terms: &door.terms, service, limiter, workers, drain };
            door.quic = super::quic::open(open.udp.as_ref(), listener, &serves);
        }
    }
}

impl Door {
    /// Accepts nothing more, and lets go those that are there. Who waits in the queue of a socket
    /// that others serve from now on is judged and served by them; with a socket that goes the
    /// queue would be gone.
    fn close(self, is_followed: bool) {
        match is_followed {
            true => self.stop.end(),
            false => self.stop.drain(),
        }
        retire(self.terms.drain());
    }
}

/// Lets go the connections of a drain: clients hear of it with their next answers. Tunnels, and
/// whatever else is under way, go on to their own end.
fn retire(drain: Drain) {
    drain.lame_duck();
    tokio::spawn(async move {
        let _ = tokio::time::timeout(GRACE, drain.emptied()).await;
        drain.drain();
    });
}

/// What a connection is judged by when it comes, and by no request again: who it is, and in which
/// language it speaks.
fn entrance(listener: &Listener) -> String {
    let tls = listener.tls.as_ref().map(|tls| (&tls.files.clients, tls.edge.options().minimum));
    format!(
        "{:?} {tls:?} {:?} {:?} {} {} {} {}",
        listener.role,
        listener.trusted_proxies,
        listener.client_address_from,
        listener.proxy_protocol,
        listener.h1,
        listener.h2,
        listener.quic.is_some(),
    )
}

#[cfg(test)]
mod tests;
