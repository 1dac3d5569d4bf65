//! Parent proxies.

use std::collections::BTreeMap;
use std::net::IpAddr;

use http::uri::Uri;
use ipnet::IpNet;
use proxy_core::NamePattern;
use proxy_upstream::BalanceKind;
use proxy_upstream::balance::HashKey;
use proxy_upstream::dial::parent::{ParentConfig, ParentCredentials, ParentKind, ParentPlace};

use super::{Resolver, address};
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config, ParentResolve};
use crate::config::resolved::Parent;

impl Resolver<'_> {
    pub(super) fn parents(&mut self, config: &Config) -> BTreeMap<String, Parent> {
        let parents = config.parents.iter();
        parents.filter_map(|(name, raw)| Some((name.clone(), self.parent(name, raw)?))).collect()
    }

    fn parent(&mut self, name: &str, raw: &raw::Parent) -> Option<Parent> {
        let path = KeyPath::of("parents").key(name);
        self.name(&path, name);
        let places = self.places(&path, raw);
        let (mut names, mut networks) = (Vec::new(), Vec::new());
        for (index, item) in raw.no_proxy.iter().enumerate() {
            let path = path.key("no_proxy").index(index);
            let bare = item.trim_start_matches('[').trim_end_matches(']');
            if item.contains('/') {
                networks.extend(self.take(&path, address::network(item)));
            } else if let Ok(ip) = bare.parse::<IpAddr>() {
                networks.push(IpNet::from(ip.to_canonical()));
            } else {
                names.extend(self.take(&path, item.parse::<NamePattern>()));
            }
        }
        let credentials = raw.credentials.as_ref().and_then(|secret| {
            let path = path.key("credentials");
            let text = self.secret(&path, secret)?;
            let found = text.reveal().split_once(':');
            let found = found.and_then(|(name, password)| ParentCredentials::new(name, password));
            // Not shown: it is a secret.
            self.take(&path.key("file"), found.ok_or("expected one line `name:password`"))
        });
        let (scheme, places) = places?;
        let at = path.key("tls");
        let tls = match (&raw.tls, scheme.is_secure) {
            (Some(_), false) => {
                self.error_on_key(&at, "needs a parent with `https://`");
                None
            }
            (None, false) => None,
            (Some(own), true) => self.upstream_tls(&at, own),
            (None, true) => self.upstream_tls(&at, &raw::UpstreamTls::default()),
        };
        if credentials.is_some() && !scheme.is_secure && !places.iter().all(is_near) {
            let message = "they are sent in clear text: whoever is on the way can read them";
            self.warning(&path.key("credentials"), message);
        }
        let first = places.first()?.clone();
        let config = ParentConfig {
            places,
            balance: self.balance_of_parent(&path, raw),
            tls: tls.as_ref().map(|own| own.tls.clone()),
            direct: raw.direct,
            credentials,
            bypass_names: names.into_iter().collect(),
            bypass_networks: networks,
            resolve: raw.resolve == ParentResolve::Here,
            ..ParentConfig::new(name, scheme.kind, &first.host, first.port)
        };
        Some(Parent { config, tls })
    }

    fn balance_of_parent(&mut self, path: &KeyPath, raw: &raw::Parent) -> BalanceKind {
        if raw.balance.is_some() && raw.endpoints.len() < 2 {
            self.warning(&path.key("balance"), "has no effect: there is one endpoint");
        }
        match raw.balance {
            None if raw.endpoints.is_empty() => BalanceKind::First,
            None | Some(raw::Balance::RoundRobin) => BalanceKind::RoundRobin,
            Some(raw::Balance::First) => BalanceKind::First,
            Some(raw::Balance::LeastRequests) => BalanceKind::LeastRequests,
            Some(raw::Balance::TwoChoices) => BalanceKind::TwoChoices,
            Some(raw::Balance::PeakEwma) => BalanceKind::PeakEwma,
            // A destination that comes from two addresses is two clients for it: however much one
            // parent has to do, it has its destinations.
            Some(raw::Balance::Hash) => {
                BalanceKind::Hash { key: HashKey::Host, above: f64::INFINITY }
            }
        }
    }

    /// The servers that are the parent, and what all of them speak.
    fn places(&mut self, path: &KeyPath, raw: &raw::Parent) -> Option<(Scheme, Vec<ParentPlace>)> {
        match (&raw.url, raw.endpoints.is_empty()) {
            (None, true) => self.error_on_key(path, "expected `url`, or `endpoints`"),
            (Some(_), false) => self.error_on_key(path, "expected `url` or `endpoints`, not both"),
            (None, false) if !raw.fallbacks.is_empty() => {
                let message = "goes with `url`; of `endpoints` one may have `backup = true`";
                self.error_on_key(&path.key("fallbacks"), message);
            }
            (Some(_), true) | (None, false) => {}
        }
        let fallbacks = raw.fallbacks.iter().enumerate();
        let fallbacks = fallbacks.map(|(at, url)| (path.key("fallbacks").index(at), url.as_str()));
        let endpoints = raw.endpoints.iter().enumerate().map(|(at, own)| {
            let path = path.key("endpoints").index(at);
            match own {
                raw::Endpoint::Url(_) => (path, own),
                raw::Endpoint::Table(_) => (path.key("url"), own),
            }
        });
        let mut urls: Vec<(KeyPath, &str, Option<&raw::EndpointTable>)> = Vec::new();
        urls.extend(raw.url.iter().map(|url| (path.key("url"), url.as_str(), None)));
        urls.extend(fallbacks.map(|(path, url)| (path, url, None)));
        urls.extend(endpoints.map(|(path, own)| match own {
            raw::Endpoint::Url(url) => (path, url.as_str(), None),
            raw::Endpoint::Table(table) => (path, table.url.as_str(), Some(table)),
        }));
        let (mut scheme, mut places): (Option<Scheme>, Vec<ParentPlace>) = (None, Vec::new());
        for (path, text, table) in urls {
            let Some((own, host, port)) = self.take(&path, self::url(text)) else { continue };
            if *scheme.get_or_insert(own) != own {
                self.error(&path, "expected the same scheme for all of them");
            }
            let mut place = ParentPlace::new(host, port);
            if let Some(table) = table {
                let weight = |weight| u32::try_from(weight).unwrap_or(u32::MAX);
                place.weight = table.weight.map_or(1, weight);
                place.backup = table.backup.unwrap_or(false);
                if table.zone.is_some() {
                    self.error(&path, "parents have no `zone`");
                }
            }
            if places.iter().any(|other| (&other.host, other.port) == (&place.host, place.port)) {
                self.error(&path, format!("`{text}` is there twice"));
            }
            places.push(place);
        }
        if !places.is_empty() && !places.iter().any(|own| !own.backup && own.weight > 0) {
            let message =
                "expected at least one endpoint that is no backup and whose weight is not 0";
            self.error_on_key(&path.key("endpoints"), message);
        }
        Some((scheme?, places))
    }

    /// The parent that a table names.
    pub(super) fn parent_named(&mut self, path: &KeyPath, name: Option<&str>) -> Option<String> {
        let (path, name) = (path.key("parent"), name?);
        let parents = self.declared("parents");
        if !parents.iter().any(|own| own == name) {
            self.unknown(&path, "parent", name, &parents);
        }
        Some(name.to_owned())
    }
}

/// What a URL says a parent speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scheme {
    kind: ParentKind,
    is_secure: bool,
}

/// Whether nobody is on the way to it.
fn is_near(place: &ParentPlace) -> bool {
    let bare = place.host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn url(text: &str) -> Result<(Scheme, String, u16), String> {
    let wrong = |hint: &str| {
        format!(
            "expected `http://HOST:PORT`, `https://HOST:PORT` or `socks5://HOST:PORT`, \
             found `{text}`{hint}"
        )
    };
    if text.contains('@') {
        // Not shown: what stands there is a secret.
        return Err("a URL with a name or password; `credentials` names a file".to_owned());
    }
    let uri: Uri = text.parse().map_err(|_| wrong(""))?;
    let scheme = |kind, is_secure| Scheme { kind, is_secure };
    let (scheme, default) = match uri.scheme_str() {
        Some("http") => (scheme(ParentKind::Http, false), 3128),
        Some("https") => (scheme(ParentKind::Http, true), 443),
        Some("socks5" | "socks5h") => (scheme(ParentKind::Socks5, false), 1080),
        _ => return Err(wrong("")),
    };
    let authority = uri.authority().ok_or_else(|| wrong(""))?;
    let host = authority.host();
    if host.is_empty() || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong(""));
    }
    let after = &authority.as_str()[host.len()..];
    let port = match after {
        "" => Some(default),
        _ => authority.port_u16().filter(|port| *port > 0),
    };
    let port = port.ok_or_else(|| wrong(&format!("; `{}` is not a port", &after[1..])))?;
    Ok((scheme, host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_http_or_socks() {
        let (http, socks) = (ParentKind::Http, ParentKind::Socks5);
        for (text, expected) in [
            ("http://proxy.test:8080", Some((http, false, "proxy.test", 8080))),
            ("http://proxy.test/", Some((http, false, "proxy.test", 3128))),
            ("https://proxy.test", Some((http, true, "proxy.test", 443))),
            ("https://proxy.test:3129", Some((http, true, "proxy.test", 3129))),
            ("socks5://[::1]:9", Some((socks, false, "[::1]", 9))),
            ("socks5h://10.0.0.1", Some((socks, false, "10.0.0.1", 1080))),
            ("ftp://proxy.test", None),
            ("proxy.test:8080", None),
            ("http://proxy.test:0", None),
            ("http://proxy.test/path", None),
            ("http://me:hush@proxy.test", None),
        ] {
            let found = url(text);
            assert!(!format!("{found:?}").contains("hush"), "{found:?}");
            let expected = expected.map(|(kind, is_secure, host, port)| {
                (Scheme { kind, is_secure }, host.to_owned(), port)
            });
            assert_eq!(found.ok(), expected, "{text}");
        }
    }
}
