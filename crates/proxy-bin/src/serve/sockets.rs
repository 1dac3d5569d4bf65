//! Sockets: bound before anything else is made, because what can not listen does not start, and
//! kept while what listens on them changes.
//!
//! A socket is known by its address. What serves it gets a second descriptor of it: whoever ends
//! leaves what waits in its queue to whoever follows.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "http3")]
use proxy_server::BoundUdp;
use proxy_server::{Bound, ListenAddress};

use super::ServeError;
use super::handover::{Message, Parcel};
#[cfg(feature = "http3")]
use super::lingering::Lingering;
use super::offered::Offered;
use crate::config::resolved::{Address, Resolved};

/// The name under which the admin listener's socket is kept, and that for probes.
pub(super) const ADMIN: &str = "admin";
pub(super) const PROBE: &str = "probe";

/// Open sockets.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: BTreeMap<Key, Open>,
    has_admin: bool,
    /// Those of the configuration before that are about to be closed, while others are bound.
    going: Vec<Bound>,
    #[cfg(feature = "http3")]
    lingering: Lingering,
}

/// An address; where the system chooses the port, that of one owner.
type Key = (Address, Option<String>);

/// What listens on an address.
#[derive(Debug)]
pub(super) struct Open {
    tcp: Bound,
    /// The descriptor for a new door, made while a lack of them keeps nothing from serving.
    spare: Mutex<Option<Bound>>,
    #[cfg(feature = "http3")]
    pub(super) udp: Option<BoundUdp>,
}

impl Open {
    /// The same socket once more, for a door.
    pub(super) fn second(&self) -> io::Result<Bound> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        spare.map_or_else(|| self.tcp.try_clone(), Ok)
    }
}

fn key(owner: &str, address: &Address) -> Key {
    let chosen = matches!(address, Address::Tcp(address) if address.port() == 0);
    (address.clone(), chosen.then(|| owner.to_owned()))
}

impl Sockets {
    /// The sockets of a configuration: those that are open, those that are offered, and new ones.
    /// Nothing changes here.
    pub(super) fn of(
        config: &Resolved,
        known: &Self,
        offered: &mut Offered,
    ) -> Result<Self, ServeError> {
        let mut sockets = Self { going: going(config, known), ..Self::default() };
        #[cfg(feature = "http3")]
        {
            sockets.lingering = known.lingering.clone();
        }
        for listener in &config.listeners {
            for address in &listener.addresses {
                let quic = listener.quic.is_some();
                sockets.add(&listener.name, address, quic, known, offered)?;
            }
        }
        if let Some(admin) = &config.admin {
            match sockets.add(ADMIN, &admin.address, false, known, offered) {
                // A one-line mode opens it unasked: a second one beside it works without.
                Err(error) if admin.optional => tracing::warn!(%error, "no admin listener"),
                added => {
                    added?;
                    sockets.has_admin = true;
                }
            }
        }
        if let Some(address) = &config.probe {
            sockets.add(PROBE, address, false, known, offered)?;
        }
        sockets.going.clear();
        Ok(sockets)
    }

    /// A new one. What keeps it from an address with the same port may be a socket of ours that is
    /// about to go, such as that of one address where the new one is of all.
    fn bind(&self, address: &Address) -> io::Result<Bound> {
        let address = match address {
            Address::Tcp(address) => ListenAddress::Tcp(*address),
            Address::Unix(path) => ListenAddress::Unix(path.clone()),
        };
        match Bound::bind(&address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let port = |own: &SocketAddr| matches!(&address, ListenAddress::Tcp(new) if new.port() == own.port());
                let beside =
                    self.going.iter().filter(|own| own.local_addr().as_ref().is_some_and(port));
                let beside: Vec<&Bound> = beside.collect();
                if beside.is_empty() {
                    return Err(error);
                }
                Bound::bind_beside(&address, &beside)
            }
            bound => bound,
        }
    }

    /// What the doors of this configuration did not need.
    pub(super) fn forget_spares(&mut self) {
        for open in self.open.values_mut() {
            *open.spare.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    fn add(
        &mut self,
        owner: &str,
        address: &Address,
        quic: bool,
        known: &Self,
        offered: &mut Offered,
    ) -> Result<(), ServeError> {
        let failed = |source| ServeError::Bind { address: address.to_string(), source };
        let key = key(owner, address);
        let known = known.open.get(&key);
        let tcp = match known {
            Some(known) => known.tcp.try_clone().map_err(failed)?,
            None => match offered.take(address).map_err(failed)? {
                Some(given) => given,
                None => self.bind(address).map_err(failed)?,
            },
        };
        let open = Open {
            spare: Mutex::new(Some(tcp.try_clone().map_err(failed)?)),
            #[cfg(feature = "http3")]
            udp: self.udp(&tcp, quic, offered)?,
            tcp,
        };
        let _ = quic;
        self.open.insert(key, open);
        Ok(())
    }

    /// The one of an owner at an address.
    pub(super) fn get(&self, owner: &str, address: &Address) -> Option<&Open> {
        self.open.get(&key(owner, address))
    }

    /// Whether there is an admin listener: one that nobody asked for may be missing.
    pub(super) fn has_admin(&self) -> bool {
        self.has_admin
    }

    /// Where they listen, with the ports that the system chose.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.open.values().filter_map(|open| open.tcp.local_addr())
    }

    /// What of these the other ones do not have.
    pub(super) fn beside(&self, other: &Self) -> Vec<String> {
        let beside = self.open.keys().filter(|key| !other.open.contains_key(key));
        beside.map(|(address, _)| address.to_string()).collect()
    }

    /// All of them once more, for another process.
    pub(super) fn to_hand_over(&self) -> io::Result<Vec<Parcel>> {
        let mut handed = Vec::new();
        for open in self.open.values() {
            let kind = match open.tcp {
                Bound::Tcp(_) => Message::Tcp,
                Bound::Unix(_) => Message::Unix,
            };
            handed.push((kind, open.tcp.as_fd().try_clone_to_owned()?));
        }
        #[cfg(feature = "http3")]
        for udp in self.datagrams() {
            handed.extend(super::datagrams::parcels(&udp)?);
        }
        Ok(handed)
    }

    /// Those of UDP, with those that connections have though no listener names them any more.
    #[cfg(feature = "http3")]
    pub(super) fn datagrams(&self) -> Vec<BoundUdp> {
        self.lingering.all()
    }

    /// The same port on UDP, where HTTP/3 is spoken. It may have been closed a moment ago, for those
    /// who come; connections that stand have it until their end.
    #[cfg(feature = "http3")]
    fn udp(
        &self,
        tcp: &Bound,
        quic: bool,
        offered: &mut Offered,
    ) -> Result<Option<BoundUdp>, ServeError> {
        let Some(address) = tcp.local_addr().filter(|_| quic) else { return Ok(None) };
        let failed = |source| ServeError::Bind { address: format!("{address} (UDP)"), source };
        if let Some(known) = self.lingering.get(address) {
            return Ok(Some(known));
        }
        let udp = match offered.take_udp(address) {
            Some(given) => given,
            None => BoundUdp::bind(address).map_err(failed)?,
        };
        self.lingering.add(address, &udp);
        Ok(Some(udp))
    }
}

/// The sockets that a configuration does not name any more.
fn going(config: &Resolved, known: &Sockets) -> Vec<Bound> {
    let named = |(address, owner): &Key| {
        let mut listeners = config.listeners.iter();
        let of_owner = |name: &str| owner.as_ref().is_none_or(|owner| owner == name);
        listeners.any(|own| of_owner(&own.name) && own.addresses.contains(address))
            || config.admin.as_ref().is_some_and(|own| of_owner(ADMIN) && own.address == *address)
            || config.probe.as_ref().is_some_and(|own| of_owner(PROBE) && own == address)
    };
    let going = known.open.iter().filter(|(key, _)| !named(key));
    // Without a descriptor it is as if it stayed.
    going.filter_map(|(_, open)| open.tcp.try_clone().ok()).collect()
}
