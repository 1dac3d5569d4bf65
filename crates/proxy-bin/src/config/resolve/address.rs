//! Addresses and networks.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::resolved::{Address, Admin, Listener, Upstream};

impl Resolver<'_> {
    /// An address to listen on.
    pub(super) fn address(&mut self, path: &KeyPath, text: &str) -> Option<Address> {
        self.take(path, address(text))
    }

    /// No two of the process's sockets on one address.
    pub(super) fn distinct_addresses(
        &mut self,
        admin: Option<&Admin>,
        probe: Option<&Address>,
        listeners: &[Listener],
    ) {
        let mut seen: Vec<(Address, KeyPath)> = Vec::new();
        let admin = admin.map(|admin| (admin.address.clone(), KeyPath::of("admin.address")));
        let probe = probe.map(|probe| (probe.clone(), KeyPath::of("probe.address")));
        let listeners = listeners.iter().flat_map(|listener| {
            let path = KeyPath::of("listeners").key(&listener.name);
            let single = self.origins.exact(&path.key("address")).is_some();
            let addresses = listener.addresses.clone().into_iter().enumerate();
            addresses.map(move |(index, address)| {
                let list = path.key("addresses").index(index);
                (address, if single { path.key("address") } else { list })
            })
        });
        let all: Vec<_> = admin.into_iter().chain(probe).chain(listeners).collect();
        for (address, path) in all {
            if let Some((other, first)) = seen.iter().find(|(other, _)| clash(other, &address)) {
                let message = format!(
                    "`{address}` clashes with `{other}` of {first}; each needs a port, or an address, of its own"
                );
                self.error(&path, message);
            }
            seen.push((address, path));
        }
    }

    /// Warns of upstreams that are this process.
    pub(super) fn other_endpoints(
        &mut self,
        listeners: &[Listener],
        upstreams: &BTreeMap<String, Upstream>,
    ) {
        for (name, upstream) in upstreams {
            let path = KeyPath::of("upstreams").key(name).key("endpoints");
            for (index, endpoint) in upstream.endpoints.iter().enumerate() {
                let is_met = |own: &&Listener| {
                    let mut addresses = own.addresses.iter();
                    endpoint.socket.is_none()
                        && addresses.any(|own| reaches(&endpoint.host, endpoint.port, own))
                };
                let Some(own) = listeners.iter().find(is_met) else { continue };
                let message = format!(
                    "`{}` is the listener `{}` of this proxy: requests would come back, and be \
                     refused with 508",
                    endpoint.authority, own.name
                );
                self.warning(&path.index(index), message);
            }
        }
    }
}

/// Whether who connects to this host and port may come to that socket.
fn reaches(host: &str, port: u16, own: &Address) -> bool {
    let Address::Tcp(own) = own else { return false };
    let everywhere = own.ip().is_unspecified();
    let here = match host.parse::<IpAddr>() {
        Ok(ip) => ip == own.ip() || everywhere && ip.is_ipv4() == own.is_ipv4() && ip.is_loopback(),
        Err(_) => host == "localhost" && (own.ip().is_loopback() || everywhere),
    };
    here && port != 0 && port == own.port()
}

/// Whether two sockets cannot both be bound.
fn clash(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::Tcp(one), Address::Tcp(other)) => {
            let wild = one.is_ipv4() == other.is_ipv4()
                && (one.ip().is_unspecified() || other.ip().is_unspecified());
            one.port() != 0 && one.port() == other.port() && (wild || one.ip() == other.ip())
        }
        (one, other) => one == other,
    }
}

fn address(text: &str) -> Result<Address, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        if path.starts_with('/') {
            return Ok(Address::Unix(PathBuf::from(path)));
        }
        return Err(format!("expected an absolute path after `unix:`, found `{path}`"));
    }
    if let Ok(address) = text.parse() {
        return Ok(Address::Tcp(address));
    }
    Err(format!("expected `ip:port` or `unix:/path`, found `{text}`{}", hint(text)))
}

fn hint(text: &str) -> String {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    if let Ok(address) = text.parse::<SocketAddr>() {
        return format!("; did you mean `{address}`?");
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return format!("; add a port, as in `{}`", SocketAddr::new(ip, 8080));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let Ok(port) = port.parse::<u16>() else {
        if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
            return "; a port is at most 65535".to_owned();
        }
        return String::new();
    };
    match host {
        "" | "*" => format!(
            "; write `127.0.0.1:{port}` for this machine only or `0.0.0.0:{port}` for every address"
        ),
        "localhost" => format!("; did you mean `127.0.0.1:{port}`?"),
        host => match host.parse::<IpAddr>() {
            Ok(ip) => format!("; did you mean `{}`?", SocketAddr::new(ip, port)),
            Err(_) => format!("; `{host}` is not an IP address"),
        },
    }
}

/// A network, or one address as a network.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(network) = text.parse::<IpNet>() {
        return Ok(network.trunc());
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(ip));
    }
    let hint = match text.split_once('/') {
        Some((ip, prefix)) if ip.parse::<IpAddr>().is_ok() => {
            format!("; `{prefix}` is not a prefix length for {ip}")
        }
        _ => String::new(),
    };
    Err(format!("expected a network such as `10.0.0.0/8` or an IP address, found `{text}`{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_what_was_probably_meant() {
        for (text, expected) in [
            ("127.0.0.1:80", "ok"),
            ("[::1]:80", "ok"),
            ("unix:/run/x.sock", "ok"),
            ("unix:x", "expected an absolute path after `unix:`, found `x`"),
            (
                ":80",
                "; write `127.0.0.1:80` for this machine only or `0.0.0.0:80` for every address",
            ),
            (
                "80",
                "; write `127.0.0.1:80` for this machine only or `0.0.0.0:80` for every address",
            ),
            ("localhost:80", "; did you mean `127.0.0.1:80`?"),
            ("http://127.0.0.1:80/", "; did you mean `127.0.0.1:80`?"),
            ("127.0.0.1", "; add a port, as in `127.0.0.1:8080`"),
            ("127.0.0.1:99999", "; a port is at most 65535"),
            ("x.test:80", "; `x.test` is not an IP address"),
            ("127.0.0.300:80", "; `127.0.0.300` is not an IP address"),
            ("nonsense", "expected `ip:port` or `unix:/path`, found `nonsense`"),
        ] {
            let found = address(text).map_or_else(|error| error, |_| "ok".to_owned());
            assert!(found.ends_with(expected), "{text}: {found}");
        }
    }

    #[test]
    fn networks_and_single_addresses() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("::1", "::1/128"),
            ("10.0.0.0/33", "; `33` is not a prefix length for 10.0.0.0"),
            ("x.test", "expected a network such as `10.0.0.0/8` or an IP address, found `x.test`"),
        ] {
            let found = network(text).map_or_else(|error| error, |network| network.to_string());
            assert!(found.ends_with(expected), "{text}: {found}");
        }
    }

    #[test]
    fn a_wildcard_clashes_with_every_address_of_its_family() {
        let tcp = |text: &str| Address::Tcp(text.parse().unwrap());
        assert!(clash(&tcp("0.0.0.0:80"), &tcp("127.0.0.1:80")));
        assert!(!clash(&tcp("0.0.0.0:80"), &tcp("[::1]:80")));
        assert!(!clash(&tcp("127.0.0.1:0"), &tcp("127.0.0.1:0")));
        assert!(!clash(&tcp("127.0.0.1:80"), &tcp("127.0.0.2:80")));
    }
}
