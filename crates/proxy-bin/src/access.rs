//! Who may use a listener: judged again when the trusted client address is known.

use http::StatusCode;
use proxy_core::{Exchange, IpSet, Refusal};

/// The clients of a listener.
#[derive(Clone, Debug, Default)]
pub struct ListenerAccess {
    /// Where given, only these.
    pub allow: Option<IpSet>,
    /// Not these; beats `allow`.
    pub deny: IpSet,
}

impl ListenerAccess {
    /// Judges the client of an exchange.
    ///
    /// # Errors
    /// The 403.
    pub fn judge(&self, exchange: Option<&Exchange>) -> Result<(), Box<Refusal>> {
        if self.allow.is_none() && self.deny.is_empty() {
            return Ok(());
        }
        let permitted = exchange.is_some_and(|exchange| {
            let client = exchange.client();
            // A peer without an address, on a unix socket, is judged by the socket's file.
            let unknown = !client.is_known() && !exchange.connection().peer.is_known();
            // A client that nobody knows is nobody's friend.
            unknown
                || (client.is_known()
                    && !client.is_in(&self.deny)
                    && self.allow.as_ref().is_none_or(|allow| client.is_in(allow)))
        });
        if permitted { Ok(()) } else { Err(client_not_allowed()) }
    }
}

/// The 403 of whoever is not permitted.
pub fn client_not_allowed() -> Box<Refusal> {
    Box::new(Refusal::new(StatusCode::FORBIDDEN, "client_not_allowed"))
}
