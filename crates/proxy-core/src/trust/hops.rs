//! Reading the chain of hops that a trusted peer names.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;

use super::{AddressSource, X_FORWARDED_FOR};
use crate::client_address::{ClientAddr, IpSet};
use crate::fields;

/// More hops than this are not walked.
const MAX_HOPS: usize = 32;

/// The hops that trusted peers vouch for, the client first. Walks from the right and stops at the
/// first address that is not trusted: what stands left of it anybody can have written. An entry
/// that is no address ends the walk; the hop behind it is then the best that is known.
pub(super) fn read(fields: &HeaderMap, source: &AddressSource, trusted: &IpSet) -> Vec<ClientAddr> {
    let mut hops = Vec::new();
    let members: Vec<&str> = match source {
        AddressSource::XForwardedFor => fields::list(fields, &X_FORWARDED_FOR).collect(),
        AddressSource::Forwarded => fields::list(fields, &FORWARDED).collect(),
        AddressSource::Field(name) => {
            // One value, or none is believed.
            let mut values = fields.get_all(name).iter();
            match (values.next().and_then(|v| v.to_str().ok()), values.next()) {
                (Some(value), None) => vec![value.trim()],
                _ => Vec::new(),
            }
        }
    };
    for member in members.into_iter().rev().take(MAX_HOPS) {
        let address = match source {
            AddressSource::Forwarded => forwarded_for(member).and_then(address),
            _ => address(member),
        };
        let Some(address) = address else { break };
        let hop = ClientAddr::new(address);
        hops.insert(0, hop);
        if !hop.is_in(trusted) {
            break;
        }
    }
    hops
}

/// The `for` parameter of one element (RFC 7239 section 5.2).
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address with or without a port, IPv6 with or without brackets.
fn address(node: &str) -> Option<IpAddr> {
    if let Ok(ip) = node.parse() {
        return Some(ip);
    }
    if let Ok(socket) = node.parse::<SocketAddr>() {
        return Some(socket.ip());
    }
    node.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6)
}
