//! Interception: the authority read, and the lists of names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use proxy_filter::domains::{DomainLists, Purpose};
use proxy_server::intercept::{Authority, AuthorityError, Minter};
use proxy_upstream::tls::{Roots, UpstreamTls, UpstreamTlsConfig};

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{self, CacheSwitch, Config};
use crate::config::resolved::Intercept;

/// An authority that ends sooner is worth a warning.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);

impl Resolver<'_> {
    /// What is intercepted, where anything is. Without a name that is nothing, whatever else is
    /// said.
    pub(super) fn intercept(&mut self, config: &Config) -> Option<Intercept> {
        let raw = config.forward.intercept.as_ref()?;
        let path = KeyPath::of("forward").key("intercept");
        let mut files = Vec::new();
        let mut lists = self.names(&path.key("names"), &raw.names, Purpose::Block, &mut files);
        let except = path.key("except");
        lists.extend(self.names(&except, &raw.except, Purpose::Except, &mut files));
        let (cert_path, key_path) = (path.key("ca_cert"), path.key("ca_key"));
        let cert = self.origins.folder(&cert_path).join(&raw.ca_cert);
        let key = self.origins.folder(&key_path).join(&raw.ca_key);
        let cert_text = self.text(&cert_path, &cert);
        let key_text = self.own_secret(&key_path, &key);
        let (cert_text, key_text) = (cert_text?, key_text?);
        let now = SystemTime::now();
        let authority = match Authority::load(&cert_text, &key_text, now) {
            Ok(authority) => authority,
            Err(error) => {
                let (path, file) = match &error {
                    AuthorityError::Key | AuthorityError::Mismatch => (&key_path, &key),
                    _ => (&cert_path, &cert),
                };
                self.error(path, format!("{}: {error}", file.display()));
                return None;
            }
        };
        if authority.holds_until() < now + SOON {
            let message = format!("{}: holds for less than 30 days", cert.display());
            self.warning(&cert_path, message);
        }
        let tls = self.origin_tls(&path, raw)?;
        if raw.cache && config.cache.disk.is_some() {
            let message =
                "what is decrypted is kept in memory only: not together with `[cache] disk`";
            self.error(&path.key("cache"), message);
        }
        if raw.cache && !is_on(config) {
            self.warning(&path.key("cache"), "has no effect without `[forward] cache`");
        }
        if config.forward.tunnel.mode == raw::Mode::Report {
            let message = "with `[forward.tunnel] mode = \"report\"` clients get around it: they name one \
                           host in CONNECT and another in the ClientHello";
            self.warning(&path, message);
        }
        if raw.names.is_empty() {
            self.warning(&path, "intercepts nothing without `names`");
            return None;
        }
        for (index, name) in raw.names.iter().enumerate().filter(|(_, name)| !name.starts_with('@'))
        {
            let bare = name.trim_start_matches('=').trim_start_matches("*.");
            if !authority.permits_within(bare) {
                let message = "the authority may not sign for it: it is not intercepted";
                self.warning(&path.key("names").index(index), message);
            }
        }
        let names = lists
            .into_iter()
            .fold(DomainLists::new(), |all, (purpose, list)| all.with(purpose, list));
        Some(Intercept { minter: Minter::new(authority), names, files, tls, cache: raw.cache })
    }

    /// How origin servers are verified: always.
    fn origin_tls(&mut self, path: &KeyPath, raw: &raw::Intercept) -> Option<UpstreamTls> {
        let roots = match &raw.origin_ca {
            None => Roots::system(),
            Some(file) => {
                let at = path.key("origin_ca");
                let file = self.origins.folder(&at).join(file);
                let pem = self.text(&at, &file)?;
                let roots = Roots::from_pem(pem.as_bytes());
                self.take(&at, roots.map_err(|error| format!("{}: {error}", file.display())))?
            }
        };
        let tls = UpstreamTls::new(UpstreamTlsConfig::new(roots));
        self.take(path, tls.map_err(|error| error.to_string()))
    }

    fn text(&mut self, path: &KeyPath, file: &Path) -> Option<String> {
        let read = fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {}", file.display(), super::plain(&error)));
        let text = self.take(path, read)?;
        self.note_file(path, text.as_bytes());
        Some(text)
    }

    /// A file that is for its owner alone.
    fn own_secret(&mut self, path: &KeyPath, file: &Path) -> Option<String> {
        let text = self.text(path, file)?;
        let mode = fs::metadata(file).map_or(0, |data| data.permissions().mode());
        if mode & 0o077 != 0 {
            let message = format!(
                "{}: others than its owner can read it (mode {:04o}); make it 0600",
                file.display(),
                mode & 0o7777
            );
            self.error(path, message);
            return None;
        }
        Some(text)
    }
}

/// Whether the forward role stores anything.
fn is_on(config: &Config) -> bool {
    !matches!(&config.forward.cache, None | Some(CacheSwitch::Is(false)))
}
