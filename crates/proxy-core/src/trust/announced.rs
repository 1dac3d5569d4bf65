//! What upstreams are told of a client, kept for the next request of its connection.

use std::fmt::Write as _;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderValue};

use super::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::client_address::{AddressPrivacy, ClientAddr};

/// Whom the fields are about, and how much of that is shown.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) peer: ClientAddr,
    pub(super) privacy: &'a AddressPrivacy,
    pub(super) proto: &'static str,
    pub(super) host: Option<&'a HeaderValue>,
}

/// The forwarding fields of a request.
#[derive(Debug)]
pub(crate) struct Announced {
    peer: ClientAddr,
    privacy: AddressPrivacy,
    /// Of the pseudonyms in it.
    epoch: u64,
    proto: &'static str,
    host: Option<HeaderValue>,
    list: Option<HeaderValue>,
    forwarded: Option<HeaderValue>,
}

impl Announced {
    /// `hops` are the vouched-for ones, the client first; the peer is always the last.
    pub(super) fn new(hops: &[ClientAddr], about: About<'_>) -> Self {
        let About { peer, privacy, proto, host } = about;
        // Before the views: what is made as an interval ends must not pass for the next one's.
        let epoch = privacy.epoch();
        let mut list = String::with_capacity(48);
        let mut forwarded = String::with_capacity(96);
        for (n, hop) in hops.iter().chain([&peer]).enumerate() {
            let view = hop.view(privacy);
            if n > 0 {
                forwarded.push_str(", ");
            }
            if view.is_shown() {
                let comma = if list.is_empty() { "" } else { ", " };
                let _ = write!(list, "{comma}{view}");
            }
            let _ = write!(forwarded, "for={}", view.forwarded_node());
            if n == 0 {
                let _ = write!(forwarded, ";proto={proto}");
                if let Some(host) = host.and_then(|h| h.to_str().ok()) {
                    let plain =
                        host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
                    let quote = if plain { "" } else { "\"" };
                    let _ = write!(forwarded, ";host={quote}{host}{quote}");
                }
            }
        }
        Self {
            peer,
            privacy: privacy.clone(),
            epoch,
            proto,
            // A copy: the field itself is a piece of the server's read buffer, and would keep all
            // of it for as long as the connection is idle.
            host: host.and_then(|host| HeaderValue::from_bytes(host.as_bytes()).ok()),
            list: HeaderValue::try_from(list).ok().filter(|list| !list.is_empty()),
            forwarded: HeaderValue::try_from(forwarded).ok(),
        }
    }

    /// Whether it says the same, of a client that nobody speaks for.
    pub(super) fn is(&self, about: About<'_>) -> bool {
        self.peer == about.peer
            && self.proto == about.proto
            && self.host.as_ref() == about.host
            && self.privacy == *about.privacy
            && self.epoch == about.privacy.epoch()
    }

    /// Says so.
    pub(super) fn set(&self, fields: &mut HeaderMap) {
        if let Some(list) = &self.list {
            fields.insert(X_FORWARDED_FOR, list.clone());
        }
        if let Some(forwarded) = &self.forwarded {
            fields.insert(FORWARDED, forwarded.clone());
        }
        fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static(self.proto));
        if let Some(host) = &self.host {
            fields.insert(X_FORWARDED_HOST, host.clone());
        }
    }
}
