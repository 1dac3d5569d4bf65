//! Upstreams and their endpoints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::uri::{Authority, Uri};

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config};
use crate::config::resolved::{Endpoint, Pool, Upstream, UpstreamHost, UpstreamTimeouts};

impl Resolver<'_> {
    pub(super) fn upstreams(&mut self, config: &Config) -> BTreeMap<String, Upstream> {
        let upstreams = config.upstreams.iter();
        upstreams.map(|(name, raw)| (name.clone(), self.upstream(name, raw))).collect()
    }

    fn upstream(&mut self, name: &str, raw: &raw::Upstream) -> Upstream {
        let path = KeyPath::of("upstreams").key(name);
        self.name(&path, name);
        let mut endpoints: Vec<Endpoint> = Vec::new();
        let mut schemes = Vec::new();
        for (index, item) in raw.endpoints.iter().enumerate() {
            let mut path = path.key("endpoints").index(index);
            if matches!(item, raw::Endpoint::Table(_)) {
                path = path.key("url");
            }
            if let Some((secure, mut endpoint)) = self.take(&path, endpoint(item.url())) {
                schemes.push(secure);
                if schemes[0] != secure {
                    let message = "expected only `http://` or only `https://` endpoints";
                    self.error(&path, message);
                }
                let same = |own: &Endpoint| {
                    (&own.host, own.port) == (&endpoint.host, endpoint.port)
                        && own.socket == endpoint.socket
                };
                if endpoints.iter().any(same) {
                    self.error(&path, format!("`{}` is there twice", item.url()));
                }
                if let raw::Endpoint::Table(table) = item {
                    endpoint.weight =
                        table.weight.map_or(1, |weight| u32::try_from(weight).unwrap_or(u32::MAX));
                    endpoint.backup = table.backup.unwrap_or(false);
                    endpoint.zone = table.zone.as_deref().map(Into::into);
                }
                endpoints.push(endpoint);
            }
        }
        let found = self.discover(&path, raw);
        if raw.endpoints.is_empty() && raw.discover.is_none() {
            self.error_on_key(&path, "expected `endpoints`, or `discover`");
        }
        let takes = |own: &Endpoint| !own.backup && own.weight > 0;
        if !endpoints.is_empty() && !endpoints.iter().any(takes) {
            let message =
                "expected at least one endpoint that is no backup and whose weight is not 0";
            self.error_on_key(&path.key("endpoints"), message);
        }
        let several = endpoints.len() > 1 || found.is_some();
        let found_by = found.as_ref().and_then(|found| found.name.clone());
        let discover = found.map(|found| {
            schemes.push(found.secure);
            endpoints.clone_from(&found.endpoints);
            found.discover
        });
        let host = match raw.host.as_str() {
            "client" => Some(UpstreamHost::Client),
            // The name that they were found by, and not their addresses.
            "upstream" if found_by.is_some() => found_by.as_ref().and_then(|(name, port)| {
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                let value = http::HeaderValue::try_from(format!("{name}{port}")).ok();
                value.map(UpstreamHost::Name)
            }),
            "upstream" => Some(UpstreamHost::Upstream),
            name => self.take(&path.key("host"), host(name)),
        };
        let secure = schemes.contains(&true);
        let at = path.key("tls");
        // Of servers that are found by a name, that name is what they must prove.
        let named = |own: &raw::UpstreamTls| raw::UpstreamTls {
            server_name: own.server_name.clone().or(found_by.as_ref().map(|own| own.0.clone())),
            ..own.clone()
        };
        let tls = match &raw.tls {
            Some(own) if secure => self.upstream_tls(&at, &named(own)),
            Some(_) if !schemes.is_empty() => {
                self.error_on_key(&at, "needs `https://` endpoints");
                None
            }
            None if secure => self.upstream_tls(&at, &named(&raw::UpstreamTls::default())),
            _ => None,
        };
        let (times, pool) = (path.key("timeouts"), path.key("pool"));
        if raw.proxy_protocol.is_some() && raw.protocol == raw::UpstreamProtocol::H2 {
            let message = "not with `protocol = \"h2\"`: its connections carry several clients";
            self.error(&path.key("proxy_protocol"), message);
        }
        Upstream {
            name: name.to_owned(),
            endpoints,
            discover,
            host: host.unwrap_or(UpstreamHost::Client),
            protocol: raw.protocol,
            tls,
            parent: self.parent_named(&path, raw.parent.as_deref()),
            proxy_protocol: raw.proxy_protocol,
            balance: self.balance(&path, name, raw),
            outlier: self.outlier(&path.key("outlier"), raw.outlier.as_ref(), several),
            circuit_breaker: self
                .circuit_breaker(&path.key("circuit_breaker"), raw.circuit_breaker.as_ref()),
            adaptive: self
                .adaptive(&path.key("adaptive_concurrency"), raw.adaptive_concurrency.as_ref()),
            retry: self.retry(&path.key("retry"), raw.retry.as_ref(), several),
            hedge: self.hedge(&path.key("hedge"), raw.hedge.as_ref(), several),
            health_check: self.health_check(&path.key("health_check"), raw.health_check.as_ref()),
            pool: Pool {
                idle_timeout: self.period(&pool.key("idle_timeout"), raw.pool.idle_timeout),
                max_idle: usize::try_from(raw.pool.max_idle).unwrap_or(usize::MAX),
                max_age: raw.pool.max_age.map(|age| self.period(&pool.key("max_age"), age)),
                max_requests: raw.pool.max_requests,
            },
            timeouts: UpstreamTimeouts {
                connect: self.period(&times.key("connect"), raw.timeouts.connect),
                first_byte: self.period(&times.key("first_byte"), raw.timeouts.first_byte),
                read_idle: self.period(&times.key("read_idle"), raw.timeouts.read_idle),
            },
            required: raw.required,
        }
    }
}

/// The endpoint, and whether it speaks TLS.
pub(super) fn endpoint(text: &str) -> Result<(bool, Endpoint), String> {
    let wrong = |hint: &str| {
        format!("expected a URL such as `http://127.0.0.1:3000`, found `{text}`{hint}")
    };
    if let Some(path) = text.strip_prefix("unix:") {
        if !path.starts_with('/') {
            return Err(format!("expected an absolute path after `unix:`, found `{path}`"));
        }
        let authority = Authority::from_static("localhost");
        let (host, socket) = ("localhost".to_owned(), Some(PathBuf::from(path)));
        return Ok((
            false,
            Endpoint { authority, host, port: 80, socket, weight: 1, backup: false, zone: None },
        ));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let hint = match format!("http://{text}").parse::<Uri>() {
            Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => {
                format!("; did you mean `http://{text}`?")
            }
            _ => String::new(),
        };
        return Err(wrong(&hint));
    };
    let secure = scheme.eq_ignore_ascii_case("https");
    if !secure && !scheme.eq_ignore_ascii_case("http") {
        return Err(wrong(&format!("; `{scheme}` is not a scheme of an upstream")));
    }
    let uri: Uri = text.parse().map_err(|error| wrong(&format!("; {error}")))?;
    let authority = uri.authority().ok_or_else(|| wrong(""))?.clone();
    if authority.as_str().contains('@') {
        // Not shown: what stands there may be a secret.
        return Err(
            "a URL with a user name; set an `authorization` field in a route instead".to_owned()
        );
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || rest.contains(['?', '#']) {
        return Err(wrong("; without a path: `rewrite.add_prefix` of a route adds one"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let after_host = &authority.as_str()[authority.host().len()..];
    let port = match after_host {
        "" if secure => 443,
        "" => 80,
        _ => authority.port_u16().filter(|port| *port > 0).ok_or_else(|| {
            wrong(&format!("; `{}` is not a port", after_host.trim_start_matches(':')))
        })?,
    };
    if host.is_empty() {
        return Err(wrong("; there is no host"));
    }
    Ok((
        secure,
        Endpoint { authority, host, port, socket: None, weight: 1, backup: false, zone: None },
    ))
}

fn host(name: &str) -> Result<UpstreamHost, String> {
    let valid = name
        .parse::<Authority>()
        .is_ok_and(|name| !name.as_str().contains('@') && !name.host().is_empty());
    let value = http::HeaderValue::from_str(name).ok().filter(|_| valid);
    value
        .map(UpstreamHost::Name)
        .ok_or_else(|| format!("expected \"client\", \"upstream\" or a host name, found `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_http_urls_without_a_path() {
        for (text, expected) in [
            ("http://127.0.0.1:3000", "127.0.0.1 3000"),
            ("HTTP://X.test/", "x.test 80"),
            ("http://[::1]:81", "::1 81"),
            ("https://x.test", "x.test 443"),
            ("127.0.0.1:3000", "; did you mean `http://127.0.0.1:3000`?"),
            ("localhost:3000", "; did you mean `http://localhost:3000`?"),
            ("http://a/b", "; without a path: `rewrite.add_prefix` of a route adds one"),
            ("http://a/#b", "; without a path: `rewrite.add_prefix` of a route adds one"),
            ("http://a:b", "; `b` is not a port"),
            ("http://a:0", "; `0` is not a port"),
            ("http://a:", "; `` is not a port"),
            ("http://a:99999", "; `99999` is not a port"),
            (
                "http://u:p@a",
                "a URL with a user name; set an `authorization` field in a route instead",
            ),
            ("ftp://a", "; `ftp` is not a scheme of an upstream"),
            ("http://", "found `http://`; empty string"),
            ("", "found ``"),
        ] {
            let found = endpoint(text)
                .map_or_else(|error| error, |(_, e)| format!("{} {}", e.host, e.port));
            assert!(found.ends_with(expected), "{text}: {found}");
            assert!(!found.contains("u:p"), "{found}");
        }
    }
}
