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
/// first address that is not trusted: what stands left of it anybody can have written. Where the
/// walk meets an entry that is no address, or ends among trusted addresses after too many, the
/// client is unknown: it must never pass for one of the proxies.
pub(super) fn read(fields: &HeaderMap, source: &AddressSource, trusted: &IpSet) -> Vec<ClientAddr> {
    let mut hops = Vec::new();
    let members: Vec<&str> = match source {
        AddressSource::XForwardedFor => fields::list(fields, &X_FORWARDED_FOR).collect(),
        AddressSource::Forwarded => fields::list(fields, &FORWARDED).collect(),
        AddressSource::Field(name) => {
            let mut values = fields.get_all(name).iter();
            match (values.next(), values.next()) {
                (None, _) => Vec::new(),
                (Some(value), None) => vec![value.to_str().unwrap_or_default().trim()],
                // One value, or none is believed.
                (Some(_), Some(_)) => vec![""],
            }
        }
    };
    for (n, member) in members.into_iter().rev().enumerate() {
        let address = match source {
            _ if n == MAX_HOPS => None,
            AddressSource::Forwarded => forwarded_for(member).and_then(address),
            _ => address(member),
        };
        let hop = address.map_or(ClientAddr::unknown(), ClientAddr::new);
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
