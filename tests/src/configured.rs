//! The configurations that most tests start from, with room for the keys a test is about.

use std::net::SocketAddr;

use crate::ports;
use crate::proxyd::{self, Launch};

/// A gateway with one listener `web`, one upstream `app` at `origin` and one route `all` to it.
/// `listener` holds more keys of the listener; `rest` follows the route: first more keys of it,
/// then more tables.
#[must_use]
pub fn gateway(origin: &str, listener: &str, rest: &str) -> Launch {
    gateway_at(ports::free(), origin, listener, rest)
}

/// The same at a given address.
#[must_use]
pub fn gateway_at(address: SocketAddr, origin: &str, listener: &str, rest: &str) -> Launch {
    let all = format!("[[routes]]\nname = \"all\"\nupstream = \"app\"\n{rest}");
    gateway_routes_at(address, origin, listener, &all)
}

/// A gateway whose routes are all in `rest`.
#[must_use]
pub fn gateway_routes(origin: &str, listener: &str, rest: &str) -> Launch {
    gateway_routes_at(ports::free(), origin, listener, rest)
}

fn gateway_routes_at(address: SocketAddr, origin: &str, listener: &str, rest: &str) -> Launch {
    let admin = ports::free();
    let config = format!(
        "[admin]\naddress = \"{admin}\"\n\n\
         [log.access]\npath = \"access.log\"\n\n\
         [listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n{listener}\n\n\
         [upstreams.app]\nendpoints = [\"{origin}\"]\n\n{rest}\n"
    );
    proxyd::run(address, &config).admin(admin)
}

/// A forward proxy with one listener `web`. `listener` holds more keys of it; `rest` follows as
/// whole tables.
#[must_use]
pub fn forward(listener: &str, rest: &str) -> Launch {
    let (address, admin) = (ports::free(), ports::free());
    let config = format!(
        "[admin]\naddress = \"{admin}\"\n\n\
         [log.access]\npath = \"access.log\"\n\n\
         [listeners.web]\naddress = \"{address}\"\nrole = \"forward\"\n{listener}\n\n{rest}\n"
    );
    proxyd::run(address, &config).admin(admin)
}
