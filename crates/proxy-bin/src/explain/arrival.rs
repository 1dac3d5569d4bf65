//! How a request arrives: who connects, and in whose name.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use proxy_core::trust::AddressSource;
use proxy_core::{AddressPrivacy, ClientAddr, Exchange};
use proxy_server::ListenerSettings;

use super::answer::Accepted;
use crate::compose::source;
use crate::config::resolved::{Address, Listener};

/// Who connects where nothing is said.
const THIS_MACHINE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// How a request arrives.
pub(super) struct Arrival {
    peer: Option<IpAddr>,
    /// The client that a PROXY protocol header names.
    header: Option<IpAddr>,
    /// The field in which trusted peers name the client.
    pub(super) field: HeaderName,
    /// What the peer writes there.
    pub(super) vouching: Option<HeaderValue>,
}

/// What becomes of the connection.
pub(super) struct Judged {
    pub(super) verdict: Accepted,
    /// The peer as the layers see it, and whether its word is taken.
    pub(super) peer: Option<(ClientAddr, bool)>,
}

impl Arrival {
    /// `from` comes through `peer`, or, where none is given, through the first trusted proxy;
    /// where there are none it connects itself.
    pub(super) fn new(peer: Option<IpAddr>, from: Option<IpAddr>, listener: &Listener) -> Self {
        let proxy = listener.trusted_proxies.first().map(ipnet::IpNet::network);
        let tcp = listener.addresses.iter().any(|own| matches!(own, Address::Tcp(_)));
        let (peer, client) = match (peer, from) {
            (Some(peer), from) => (Some(peer), from),
            (None, Some(from)) => match proxy {
                Some(proxy) => (Some(proxy), Some(from)),
                None => (Some(from), None),
            },
            (None, None) => (tcp.then_some(THIS_MACHINE), None),
        };
        let by_header = listener.proxy_protocol;
        Self {
            peer,
            header: client.filter(|_| by_header),
            field: listener.client_address_from.clone(),
            vouching: client.filter(|_| !by_header).and_then(|ip| vouching(ip, listener)),
        }
    }

    /// Who says who the client is.
    pub(super) fn source(&self, exchange: &Exchange) -> String {
        match exchange.client() == exchange.connection().peer {
            true if self.header.is_some() => "proxy_protocol".to_owned(),
            true => "peer".to_owned(),
            false => self.field.to_string(),
        }
    }

    /// As the listener judges a connection before a request is read.
    pub(super) fn accepted(&self, settings: &ListenerSettings, privacy: &AddressPrivacy) -> Judged {
        let client = |ip: Option<IpAddr>| ip.map_or(ClientAddr::unknown(), ClientAddr::new);
        let mut peer = client(self.peer);
        let mut trusted = peer.is_in(&settings.trusted);
        let who = |peer: ClientAddr| match peer.is_known() {
            true => peer.view(privacy).to_string(),
            false => "unix socket".to_owned(),
        };
        let address = who(peer);
        let told = |verdict: &str, reason: &str| {
            let (verdict, reason) = (verdict.to_owned(), reason.to_owned());
            Accepted { peer: address.clone(), verdict, reason }
        };
        let refused = |reason| Judged { verdict: told("deny", reason), peer: None };
        if !trusted && settings.proxy_protocol {
            return refused("proxy_protocol");
        }
        if !trusted && !settings.admits(peer) {
            return refused("address");
        }
        let reason = if trusted { "trusted_proxy" } else { "not_a_trusted_proxy" };
        if let Some(named) = self.header {
            peer = client(Some(named));
            trusted = peer.is_in(&settings.trusted);
            if !trusted && !settings.admits(peer) {
                return refused("address");
            }
        }
        Judged { verdict: told("allow", reason), peer: Some((peer, trusted)) }
    }
}

/// The word of a proxy in front of this listener about a client.
fn vouching(client: IpAddr, listener: &Listener) -> Option<HeaderValue> {
    let value = match (source(listener), client) {
        (AddressSource::Forwarded, IpAddr::V4(ip)) => format!("for={ip}"),
        (AddressSource::Forwarded, IpAddr::V6(ip)) => format!("for=\"[{ip}]\""),
        (_, ip) => ip.to_string(),
    };
    HeaderValue::try_from(value).ok()
}
