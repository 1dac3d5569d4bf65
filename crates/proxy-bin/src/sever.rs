//! Closing what is open: the connections that an operator names; and whether the rules in effect
//! would open a tunnel again.

use ipnet::IpNet;
use proxy_core::target::Authority;
use proxy_core::{Exchange, IpSet, NamePattern, ServerName};
use proxy_server::{ConnectionState, Drain, LiveConnection};

use crate::config::raw::ServerNames;
use crate::generation::Generation;

/// Which connections are to be closed.
#[derive(Clone, Debug)]
pub enum Selector {
    /// Those of a client: its address, or a network. Where a trusted peer speaks for others, those on
    /// which something of the client is under way.
    Client(IpNet),
    /// Those on which something of this host is under way: tunnels, and requests. Of the requests
    /// that an HTTP/2 or HTTP/3 connection has under way the latest counts.
    Host(NamePattern),
    /// The same of a route.
    Route(String),
}

impl Selector {
    fn is_of(&self, live: &LiveConnection) -> bool {
        let info = live.info();
        let latest = info.activity.latest();
        let asks = live.state() == ConnectionState::Active;
        let tunnel = live.tunnel();
        match self {
            Self::Client(network) => {
                let networks: IpSet = [*network].into_iter().collect();
                let asked = tunnel.and_then(|own| own.exchange()).map(Exchange::client);
                let all = [Some(info.peer), latest.client.filter(|_| asks), asked];
                all.into_iter().flatten().any(|client| client.is_in(&networks))
            }
            Self::Host(pattern) => {
                let exchange = tunnel.and_then(|own| own.exchange());
                let named = tunnel.and_then(|own| own.host()).map(bare);
                let shown = exchange.and_then(Exchange::get::<ServerName>);
                let shown = shown.map(|own| own.0.to_string());
                let inside = info.parent.as_ref().map(|own| own.host.to_string());
                let asked = latest.host.filter(|_| asks).map(|own| bare(&own));
                let mut all = [named, shown, inside, asked].into_iter().flatten();
                all.any(|host| pattern.matches(&host))
            }
            Self::Route(name) => asks && latest.route.is_some_and(|own| *own == **name),
        }
    }
}

/// The host of an authority, in lower case, without port and brackets.
fn bare(authority: &str) -> String {
    let host = Authority::parse(authority).map_or(authority, |own| own.host);
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    host.to_ascii_lowercase()
}

/// Closes what a selector names, and says how many connections and tunnels that were.
pub fn close(drain: &Drain, selector: &Selector) -> usize {
    let named = drain.connections().filter(|live| selector.is_of(live));
    named.map(|live| live.end()).count()
}

/// Whether a tunnel would be opened now: to the host that was named, and to the one that its
/// ClientHello names, where such names are judged.
pub async fn is_permitted(generation: &Generation, tunnel: &Exchange) -> bool {
    let Some(named) = tunnel.facts().map(|facts| facts.raw_target.to_string()) else {
        return true;
    };
    let Some(Authority { host, port: Some(port) }) = Authority::parse(&named) else { return true };
    let explainer = &generation.explainer;
    if !explainer.would_tunnel(tunnel, host, port).await {
        return false;
    }
    let judged = generation.loaded.resolved.forward.tunnel.sni != ServerNames::Off;
    match tunnel.get::<ServerName>().filter(|_| judged) {
        Some(shown) => explainer.would_tunnel(tunnel, &shown.0, port).await,
        None => true,
    }
}

/// The network of one address, or the network that is written.
///
/// # Errors
/// Neither.
pub fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<std::net::IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| {
        format!("expected an address such as `192.0.2.1`, or a network, found `{text}`")
    })
}
