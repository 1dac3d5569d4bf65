//! Endpoints that are found in a file or in DNS.

use std::fs;
use std::path::Path;

use proxy_upstream::DnsEndpoints;
use serde::Deserialize;

use super::Resolver;
use super::upstream::endpoint;
use crate::config::path::KeyPath;
use crate::config::raw;
use crate::config::resolved::{Discover, Endpoint};
use crate::config::source::plain;
use crate::files::Stamp;

/// What a file of endpoints may have at most.
const MAX_FILE: u64 = 1 << 20;

/// What is found of an upstream.
pub(super) struct Found {
    pub(super) discover: Discover,
    /// The endpoints of the beginning.
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) secure: bool,
    /// The name and the port that stand for all of them, where there are such.
    pub(super) name: Option<(String, Option<u16>)>,
}

impl Resolver<'_> {
    pub(super) fn discover(&mut self, path: &KeyPath, raw: &raw::Upstream) -> Option<Found> {
        let own = raw.discover.as_ref()?;
        let path = path.key("discover");
        if !raw.endpoints.is_empty() {
            self.error_on_key(&path, "either `endpoints` or `discover`");
        }
        match (&own.file, &own.dns, &own.srv) {
            (Some(file), None, None) => {
                let path = path.key("file");
                let file = self.origins.folder(&path).join(file);
                let stamp = Stamp::of(&file);
                let (secure, endpoints) = self.take(&path, endpoints_of(&file))?;
                let discover = Discover::File(file, stamp);
                Some(Found { discover, endpoints, secure, name: None })
            }
            (None, Some(url), None) => {
                let (secure, own) = self.take(&path.key("dns"), named(url))?;
                let name = own.host.clone();
                let port = (own.authority.port().is_some()).then_some(own.port);
                let discover = DnsEndpoints::Addresses { name: own.host, port: own.port };
                let (discover, name) = (Discover::Dns(discover), Some((name, port)));
                Some(Found { discover, endpoints: Vec::new(), secure, name })
            }
            (None, None, Some(url)) => {
                let path = path.key("srv");
                let (secure, own) = self.take(&path, named(url))?;
                if own.authority.port().is_some() {
                    self.error(&path, "a service has its ports in DNS: leave it out here");
                }
                let discover = Discover::Dns(DnsEndpoints::Service { name: own.host });
                Some(Found { discover, endpoints: Vec::new(), secure, name: None })
            }
            _ => {
                self.error(&path, "expected one of `file`, `dns` and `srv`");
                None
            }
        }
    }
}

/// A URL whose host is a name.
fn named(url: &str) -> Result<(bool, Endpoint), String> {
    let (secure, own) = endpoint(url)?;
    if own.socket.is_some() || own.host.parse::<std::net::IpAddr>().is_ok() {
        return Err(format!("expected a URL with a name, found `{url}`"));
    }
    Ok((secure, own))
}

/// A file of endpoints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    endpoints: Vec<raw::Endpoint>,
}

/// The endpoints that a file says, and whether they speak TLS.
///
/// # Errors
/// It can not be read, or what in it is wrong.
pub(crate) fn endpoints_of(path: &Path) -> Result<(bool, Vec<Endpoint>), String> {
    let shown = path.display();
    let cannot = |error: &std::io::Error| format!("cannot read {shown}: {}", plain(error));
    let size = fs::metadata(path).map_err(|error| cannot(&error))?.len();
    if size > MAX_FILE {
        return Err(format!("{shown} is larger than 1MiB"));
    }
    let text = fs::read_to_string(path).map_err(|error| cannot(&error))?;
    let file: File = match path.extension().is_some_and(|ending| ending == "json") {
        true => serde_json::from_str(&text).map_err(|error| format!("{shown}: {error}"))?,
        false => {
            let wrong = |error: toml::de::Error| format!("{shown}: {}", error.message());
            toml::from_str(&text).map_err(wrong)?
        }
    };
    let mut all: Vec<(bool, Endpoint)> = Vec::new();
    for item in &file.endpoints {
        let (secure, mut own) =
            endpoint(item.url()).map_err(|error| format!("{shown}: {error}"))?;
        if let raw::Endpoint::Table(table) = item {
            let weight = table.weight.unwrap_or(1);
            if weight > 256 {
                return Err(format!("{shown}: expected a weight from 0 to 256, found {weight}"));
            }
            own.weight = u32::try_from(weight).unwrap_or(1);
            own.backup = table.backup.unwrap_or(false);
            own.zone = table.zone.as_deref().map(Into::into);
        }
        all.push((secure, own));
    }
    let takes = |own: &(bool, Endpoint)| !own.1.backup && own.1.weight > 0;
    if !all.iter().any(takes) {
        return Err(format!("{shown}: no endpoint takes requests"));
    }
    let secure = all[0].0;
    if all.iter().any(|own| own.0 != secure) {
        return Err(format!("{shown}: expected only `http://` or only `https://` endpoints"));
    }
    Ok((secure, all.into_iter().map(|(_, own)| own).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::Folder;

    #[test]
    fn a_file_says_what_an_upstream_would() {
        let json = "{\"endpoints\": [\"http://a:1\", {\"url\": \"http://b\", \"weight\": 3}]}";
        for (name, text, expected) in [
            ("a.json", json, Ok("a:1*1 b:80*3")),
            ("a.toml", "endpoints = [\"http://a:1\"]", Ok("a:1*1")),
            ("a.toml", "endpoints = []", Err("no endpoint takes requests")),
            ("a.toml", "endpoints = [{ url = \"http://a\", weight = 0 }]", Err("takes requests")),
            ("a.toml", "endpoints = [\"http://a\", \"https://b\"]", Err("only `http://`")),
            ("a.toml", "endpoints = [{ url = \"http://a\", weight = 300 }]", Err("found 300")),
            ("a.toml", "endpoints = [\"a\"]", Err("did you mean `http://a`")),
            ("a.toml", "endpoint = []", Err("unknown field")),
            ("a.json", "[", Err("EOF")),
        ] {
            let folder = Folder::new(&[(name, text)]);
            let found = endpoints_of(&folder.path(name));
            match expected {
                Ok(expected) => {
                    let (secure, all) = found.unwrap();
                    let all = all.iter().map(|o| format!("{}:{}*{}", o.host, o.port, o.weight));
                    assert_eq!((secure, &*all.collect::<Vec<_>>().join(" ")), (false, expected));
                }
                Err(expected) => {
                    let error = found.unwrap_err();
                    assert!(error.contains(expected), "{text}: {error}");
                }
            }
        }
        assert!(endpoints_of(Path::new("/no/such")).unwrap_err().contains("cannot read"));
    }
}
