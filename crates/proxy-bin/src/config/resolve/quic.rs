//! QUIC of listeners, and what HTTP/3 needs beside it.

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{self, AddressRetry, Protocol, Role};
use crate::config::resolved::ListenerQuic;

/// A secret that can be guessed is none.
const LEAST_SECRET: usize = 32;
/// Whether this program was built with HTTP/3.
const BUILT: bool = cfg!(feature = "http3");

impl Resolver<'_> {
    /// QUIC, where the protocols have HTTP/3.
    pub(super) fn quic(
        &mut self,
        path: &KeyPath,
        raw: &raw::Listener,
        protocols: &[Protocol],
    ) -> Option<ListenerQuic> {
        let Some(place) = protocols.iter().position(|own| *own == Protocol::H3) else {
            if raw.quic.is_some() {
                let message = "has no effect without \"h3\" in `protocols`";
                self.warning(&path.key("quic"), message);
            }
            return None;
        };
        let place = path.key("protocols").index(place);
        if !BUILT {
            self.error(&place, "this program was built without HTTP/3");
        }
        if raw.tls.is_none() {
            self.error(&place, "HTTP/3 needs `tls`");
        } else if !protocols.iter().any(|own| *own != Protocol::H3) {
            let message = "clients find HTTP/3 by way of TCP: add \"h1\" or \"h2\"";
            self.error(&place, message);
        }
        if raw.proxy_protocol {
            let message = "QUIC has no PROXY protocol: HTTP/3 needs a listener without it";
            self.error(&path.key("proxy_protocol"), message);
        }
        let mut addresses = raw.address.iter().chain(&raw.addresses);
        if addresses.all(|address| address.starts_with("unix:")) {
            self.error(&place, "HTTP/3 needs an address of the form `ip:port`");
        }
        let own = raw.quic.clone().unwrap_or_default();
        let path = path.key("quic");
        let secret = own.secret.as_ref().and_then(|secret| {
            let place = path.key("secret");
            let secret = self.secret(&place, secret)?;
            let bytes = secret.reveal().as_bytes();
            if bytes.len() < LEAST_SECRET {
                let message = format!("expected at least {LEAST_SECRET} characters in it");
                self.error(&place.key("file"), message);
            }
            Some(bytes.into())
        });
        let advertise = own.advertise.some().map(|period| period.duration().as_secs());
        Some(ListenerQuic {
            // A port of a forward proxy is in no URL.
            advertise: advertise.filter(|_| raw.role == Role::Gateway),
            always_retry: own.retry == AddressRetry::Always,
            secret,
        })
    }
}
