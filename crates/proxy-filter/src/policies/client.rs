//! By the client's address.

use proxy_core::IpSet;

use super::sense::{Sense, named};
use crate::asked::Asked;
use crate::policy::{Policy, Verdict};

/// Lets clients of some networks pass, or refuses them. A network takes in the IPv4-mapped form of
/// its addresses. A client whose address is unknown passes only where nothing but `deny` is said
/// and there is no network in it.
///
/// The address is the trusted one where
/// [`ClientAddrLayer`](proxy_core::ClientAddrLayer) stands in front, else the peer's.
#[derive(Clone, Debug)]
pub struct ClientPolicy {
    allow: Option<IpSet>,
    deny: IpSet,
    sense: Sense,
}

impl ClientPolicy {
    /// Only clients of these networks pass.
    pub fn allow(networks: IpSet) -> Self {
        let sense = Sense::deny("client_not_allowed");
        Self { allow: Some(networks), deny: IpSet::default(), sense }
    }

    /// Clients of these networks are refused.
    pub fn deny(networks: IpSet) -> Self {
        Self { allow: None, deny: networks, sense: Sense::deny("client_not_allowed") }
    }

    /// Refuses these too, whatever is allowed.
    #[must_use]
    pub fn but_deny(mut self, networks: IpSet) -> Self {
        self.deny = networks;
        self
    }
}

named!(ClientPolicy);

impl Policy for ClientPolicy {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        if self.allow.is_none() && self.deny.is_empty() {
            return Verdict::Allow;
        }
        let client = asked.client();
        let permitted = client.is_known()
            && !client.is_in(&self.deny)
            && self.allow.as_ref().is_none_or(|allow| client.is_in(allow));
        self.sense.judge(!permitted)
    }
}
