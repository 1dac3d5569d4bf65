//! Listeners.

use http::HeaderName;

use super::Resolver;
use crate::config::defaults;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config, Protocol, Role};
use crate::config::resolved::{Address, Limits, Listener};
use crate::config::units::{Limit, Size};

impl Resolver<'_> {
    pub(super) fn listeners(&mut self, config: &Config) -> Vec<Listener> {
        let listeners = config.listeners.iter();
        listeners.filter_map(|(name, listener)| self.listener(config, name, listener)).collect()
    }

    fn listener(&mut self, config: &Config, name: &str, raw: &raw::Listener) -> Option<Listener> {
        let path = KeyPath::of("listeners").key(name);
        self.name(&path, name);
        let addresses = self.addresses(&path, raw);
        let allow_clients = self.networks(&path.key("allow_clients"), &raw.allow_clients);
        let deny_clients = self.networks(&path.key("deny_clients"), &raw.deny_clients);
        let trusted_proxies = self.networks(&path.key("trusted_proxies"), &raw.trusted_proxies);
        let protocols = raw.protocols.as_deref().unwrap_or_default();
        if protocols.is_empty() {
            self.error(&path.key("protocols"), "expected at least one protocol");
        }
        if raw.role == Role::Forward {
            let has_users = raw.credentials.is_some()
                || config.forward.credentials.is_some()
                || Self::has_client_certificates(raw);
            self.not_open(&path, raw, has_users, &addresses);
        } else if raw.open {
            self.warning(&path.key("open"), "only a forward listener can be open");
        }
        if raw.trusted_proxies.is_empty() {
            if raw.proxy_protocol {
                let message = "needs `trusted_proxies`: from which proxies the header is taken";
                self.error(&path.key("proxy_protocol"), message);
            }
            if self.origins.exact(&path.key("client_address_from")).is_some() {
                let message = "has no effect without `trusted_proxies`";
                self.warning(&path.key("client_address_from"), message);
            }
        } else if trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
            self.warning(&path.key("trusted_proxies"), "trusts the word of every client");
        }
        let credentials = match (&raw.credentials, &config.forward.credentials) {
            (Some(own), _) => self.credentials(&path.key("credentials"), own),
            (None, Some(forward)) if raw.role == Role::Forward => {
                self.credentials(&KeyPath::of("forward.credentials"), forward)
            }
            _ => None,
        };
        let limits = defaults::layered(&raw.limits, &config.server.limits);
        let limits = self.limits(&path.key("limits"), &limits);
        let field = raw.client_address_from.parse::<HeaderName>();
        let field = field
            .map_err(|_| format!("expected a field name, found `{}`", raw.client_address_from));
        let client_address_from = self.take(&path.key("client_address_from"), field)?;
        let (h1, h2) = (protocols.contains(&Protocol::H1), protocols.contains(&Protocol::H2));
        let tls = match &raw.tls {
            Some(own) => {
                let handshake = config.server.timeouts.handshake;
                let path = path.key("tls");
                if raw.role == Role::Forward {
                    self.not_of_gateways(&path, own);
                }
                Some(self.listener_tls(&path, own, (h1, h2), handshake, &limits)?)
            }
            None => None,
        };
        let quic = self.quic(&path, raw, protocols);
        Some(Listener {
            name: name.to_owned(),
            addresses,
            role: raw.role,
            h1,
            h2,
            tls,
            quic,
            allow_clients,
            deny_clients,
            credentials,
            trusted_proxies,
            client_address_from,
            proxy_protocol: raw.proxy_protocol,
            open: raw.open,
            half_close: raw.half_close,
            limits,
        })
    }

    fn addresses(&mut self, path: &KeyPath, raw: &raw::Listener) -> Vec<Address> {
        match &raw.address {
            Some(_) if !raw.addresses.is_empty() => {
                self.error_on_key(&path.key("addresses"), "give this or `address`, not both");
                Vec::new()
            }
            Some(address) => self.address(&path.key("address"), address).into_iter().collect(),
            None if raw.addresses.is_empty() => {
                self.error_on_key(
                    path,
                    "missing key `address`; expected `ip:port` or `unix:/path`",
                );
                Vec::new()
            }
            None => {
                let items = raw.addresses.iter().enumerate();
                let path = path.key("addresses");
                items.filter_map(|(index, item)| self.address(&path.index(index), item)).collect()
            }
        }
    }

    /// No open proxy by accident.
    fn not_open(
        &mut self,
        path: &KeyPath,
        raw: &raw::Listener,
        has_users: bool,
        addresses: &[Address],
    ) {
        let Some(public) = addresses.iter().find(|address| !address.is_local()) else {
            return;
        };
        if raw.open || has_users {
            return;
        }
        if raw.allow_clients.is_empty() {
            let message = format!(
                "a forward listener on {public} would serve everyone who can reach it; \
                 add `allow_clients` (`--allow-client`) or `credentials`, or `open = true` (`--open`) \
                 if that is meant"
            );
            self.error_on_key(path, message);
        } else if raw.allow_clients.iter().any(|network| network.ends_with("/0")) {
            let message = "takes in everyone; say `open = true` if that is meant";
            self.error(&path.key("allow_clients"), message);
        }
    }

    /// Limits that are complete.
    pub(super) fn limits(&mut self, path: &KeyPath, raw: &raw::Limits) -> Limits {
        let raw = defaults::layered(raw, &defaults::limits());
        let count = |count: Option<u64>| usize::try_from(count.unwrap_or(0)).unwrap_or(usize::MAX);
        let bytes = |limit: Option<Limit<Size>>| limit.and_then(Limit::some).map(Size::bytes);
        if bytes(raw.body_min_rate) == Some(0) {
            self.error(&path.key("body_min_rate"), "expected more than 0B, or \"none\"");
        }
        Limits {
            connections: count(raw.connections),
            connections_per_client: count(raw.connections_per_client),
            request_line: self.size(path, "request_line", raw.request_line, (256, 1 << 20)),
            fields: count(raw.fields),
            fields_size: self.size(path, "fields_size", raw.fields_size, (1 << 10, 16 << 20)),
            body: bytes(raw.body),
            tunnels: count(raw.tunnels),
            tunnels_per_client: count(raw.tunnels_per_client),
            body_min_rate: bytes(raw.body_min_rate),
            h2_streams: u32::try_from(raw.h2_streams.unwrap_or(1)).unwrap_or(u32::MAX),
            h2_resets: u32::try_from(raw.h2_resets.unwrap_or(1)).unwrap_or(u32::MAX),
            h2_idle_frames: u32::try_from(raw.h2_idle_frames.unwrap_or(1)).unwrap_or(u32::MAX),
            handshakes: count(raw.handshakes),
        }
    }

    /// The size of something that is held in memory.
    fn size(&mut self, path: &KeyPath, key: &str, size: Option<Size>, within: (u64, u64)) -> usize {
        let bytes = size.map_or(0, Size::bytes);
        let (least, most) = within;
        if bytes < least || bytes > most {
            let (least, most) = (Size::from_bytes(least), Size::from_bytes(most));
            let found = Size::from_bytes(bytes);
            let message = format!("expected a size from {least} to {most}, found {found}");
            self.error(&path.key(key), message);
        }
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}
