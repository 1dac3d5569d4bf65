//! Parent proxies.

use std::collections::BTreeMap;
use std::net::IpAddr;

use http::uri::Uri;
use ipnet::IpNet;
use proxy_core::NamePattern;
use proxy_upstream::dial::parent::{ParentConfig, ParentCredentials, ParentKind};

use super::{Resolver, address};
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config, ParentResolve};

impl Resolver<'_> {
    pub(super) fn parents(&mut self, config: &Config) -> BTreeMap<String, ParentConfig> {
        let parents = config.parents.iter();
        parents.filter_map(|(name, raw)| Some((name.clone(), self.parent(name, raw)?))).collect()
    }

    fn parent(&mut self, name: &str, raw: &raw::Parent) -> Option<ParentConfig> {
        let path = KeyPath::of("parents").key(name);
        self.name(&path, name);
        let url = self.take(&path.key("url"), url(&raw.url));
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
        let mut fallbacks = Vec::new();
        for (index, text) in raw.fallbacks.iter().enumerate() {
            let path = path.key("fallbacks").index(index);
            let Some((kind, host, port)) = self.take(&path, self::url(text)) else { continue };
            if url.as_ref().is_some_and(|own| own.0 != kind) {
                self.error(&path, "expected the scheme of `url`");
            }
            fallbacks.push((host, port));
        }
        let (kind, host, port) = url?;
        Some(ParentConfig {
            fallbacks,
            credentials,
            bypass_names: names.into_iter().collect(),
            bypass_networks: networks,
            resolve: raw.resolve == ParentResolve::Here,
            ..ParentConfig::new(name, kind, &host, port)
        })
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

fn url(text: &str) -> Result<(ParentKind, String, u16), String> {
    let wrong = |hint: &str| {
        format!("expected `http://HOST:PORT` or `socks5://HOST:PORT`, found `{text}`{hint}")
    };
    if text.contains('@') {
        // Not shown: what stands there is a secret.
        return Err("a URL with a name or password; `credentials` names a file".to_owned());
    }
    let uri: Uri = text.parse().map_err(|_| wrong(""))?;
    let (kind, default) = match uri.scheme_str() {
        Some("http") => (ParentKind::Http, 3128),
        Some("socks5" | "socks5h") => (ParentKind::Socks5, 1080),
        Some("https") => return Err(wrong("; TLS to a parent is not built")),
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
    Ok((kind, host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_http_or_socks() {
        for (text, expected) in [
            ("http://proxy.test:8080", Some((ParentKind::Http, "proxy.test", 8080))),
            ("http://proxy.test/", Some((ParentKind::Http, "proxy.test", 3128))),
            ("socks5://[::1]:9", Some((ParentKind::Socks5, "[::1]", 9))),
            ("socks5h://10.0.0.1", Some((ParentKind::Socks5, "10.0.0.1", 1080))),
            ("https://proxy.test", None),
            ("proxy.test:8080", None),
            ("http://proxy.test:0", None),
            ("http://proxy.test/path", None),
            ("http://me:hush@proxy.test", None),
        ] {
            let found = url(text);
            assert!(!format!("{found:?}").contains("hush"), "{found:?}");
            let expected = expected.map(|(kind, host, port)| (kind, host.to_owned(), port));
            assert_eq!(found.ok(), expected, "{text}");
        }
    }
}
