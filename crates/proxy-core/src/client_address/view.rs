//! What a sink may show of an address.

use std::net::IpAddr;
use std::{fmt, io};

use super::pseudonym::{Pseudonym, Pseudonyms};
use crate::decimal::write_ipv4;

/// How much of a client's address a sink shows.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AddressPrivacy {
    /// All of it.
    #[default]
    Full,
    /// Its network only.
    Truncate {
        /// Bits kept of an IPv4 address.
        ipv4_prefix: u8,
        /// Bits kept of an IPv6 address.
        ipv6_prefix: u8,
    },
    /// A short name in its place: the same for the same address while a salt holds.
    Pseudonym(Pseudonyms),
    /// Nothing.
    Drop,
}

impl AddressPrivacy {
    /// Changes when the views of an address do: what was made of a view before is made anew.
    pub fn epoch(&self) -> u64 {
        match self {
            Self::Pseudonym(pseudonyms) => pseudonyms.epoch(),
            Self::Full | Self::Truncate { .. } | Self::Drop => 0,
        }
    }
}

/// The printable form of an address, after privacy. `-` where there is none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AddressView(pub(super) Shown);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    Ip(IpAddr),
    Pseudonym(Pseudonym),
}

impl AddressView {
    /// The node form of RFC 7239 section 6: IPv6 in brackets and quotes, a pseudonym as an
    /// obfuscated identifier (section 6.3), `unknown` for none.
    pub fn forwarded_node(&self) -> String {
        match self.0 {
            Shown::Ip(IpAddr::V6(v6)) => format!("\"[{v6}]\""),
            Shown::Ip(IpAddr::V4(_)) | Shown::Pseudonym(_) => self.to_string(),
            Shown::Nothing => "unknown".to_owned(),
        }
    }

    /// Whether anything is shown.
    pub const fn is_shown(&self) -> bool {
        !matches!(self.0, Shown::Nothing)
    }
}

impl AddressView {
    /// Appends it: the same as displaying it, at a fraction of the cost for IPv4.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.0 {
            Shown::Ip(IpAddr::V4(v4)) => write_ipv4(out, v4),
            // Writing to memory does not fail.
            Shown::Ip(IpAddr::V6(v6)) => drop(io::Write::write_fmt(out, format_args!("{v6}"))),
            Shown::Pseudonym(name) => out.extend_from_slice(name.as_str().as_bytes()),
            Shown::Nothing => out.push(b'-'),
        }
    }
}

impl fmt::Display for AddressView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Shown::Ip(ip) => ip.fmt(f),
            Shown::Pseudonym(name) => f.write_str(name.as_str()),
            Shown::Nothing => f.write_str("-"),
        }
    }
}

impl fmt::Debug for AddressView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
