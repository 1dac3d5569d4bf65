//! What is shown of clients: prefixes, salts, names.

use std::sync::Arc;

use http::HeaderName;
use proxy_core::{AddressPrivacy, Pseudonyms, SystemClock};
use proxy_observe::Redaction;

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{ClientAddress, Config, ParamSource};
use crate::config::resolved::Privacy;

/// Shorter ones would cost more than they hide.
const LEAST_ROTATION: u64 = 60;
/// A salt that can be guessed is none.
const LEAST_SALT: usize = 16;

impl Resolver<'_> {
    pub(super) fn privacy(&mut self, config: &Config) -> Privacy {
        let raw = &config.privacy;
        let path = KeyPath::of("privacy");
        let wants = |sink: Option<ClientAddress>| sink.unwrap_or(raw.client_address);
        let sinks = [raw.sinks.log, raw.sinks.audit, raw.sinks.forwarded].map(wants);
        let used = sinks.contains(&ClientAddress::Pseudonym);
        let pseudonyms = self.pseudonyms(config, used);
        if raw.salt.is_some() && !used {
            self.warning(&path.key("salt"), "no sink shows pseudonyms");
        }
        let [log, audit, forwarded] = sinks.map(|sink| match sink {
            ClientAddress::Full => AddressPrivacy::Full,
            ClientAddress::Truncate => AddressPrivacy::Truncate {
                ipv4_prefix: raw.ipv4_prefix,
                ipv6_prefix: raw.ipv6_prefix,
            },
            // What can not be named is not shown.
            ClientAddress::Pseudonym => {
                pseudonyms.clone().map_or(AddressPrivacy::Drop, AddressPrivacy::Pseudonym)
            }
            ClientAddress::Drop => AddressPrivacy::Drop,
        });
        let fields = self.list(&path.key("redact_fields"), &raw.redact_fields, |name| {
            name.parse::<HeaderName>()
                .map_err(|_| format!("expected the name of a field, found `{name}`"))
        });
        // What a program is not to show, nobody else shows.
        let execs = || config.routes.iter().filter_map(|route| route.exec.as_ref());
        let secrets = |source| {
            let params = execs().flat_map(|exec| &exec.params);
            params.filter(move |(_, param)| param.secret && param.source == source)
        };
        let query = secrets(ParamSource::Query).map(|(name, _)| name.as_str());
        let query = raw.redact_query.iter().map(String::as_str).chain(query);
        let secret_fields = secrets(ParamSource::Field)
            .filter_map(|(name, param)| param.name.as_deref().unwrap_or(name).parse().ok());
        let redaction = Redaction::new(query, fields.into_iter().chain(secret_fields));
        Privacy { log, audit, forwarded, redaction }
    }

    fn pseudonyms(&mut self, config: &Config, used: bool) -> Option<Pseudonyms> {
        let raw = &config.privacy;
        let path = KeyPath::of("privacy");
        let interval = raw.salt_rotation_interval.some();
        if interval.is_some_and(|interval| interval.duration().as_secs() < LEAST_ROTATION) {
            self.error(&path.key("salt_rotation_interval"), "expected 1m or longer, or \"none\"");
        }
        let salt = match &raw.salt {
            Some(secret) => {
                let salt = self.secret(&path.key("salt"), secret)?.reveal().as_bytes().to_vec();
                if salt.len() < LEAST_SALT {
                    let message = format!("expected at least {LEAST_SALT} characters in it");
                    self.error(&path.key("salt").key("file"), message);
                }
                salt
            }
            None if !used => return None,
            None => {
                let mut salt = vec![0; 32];
                if let Err(error) = getrandom::fill(&mut salt) {
                    self.error(&path, format!("no salt can be made: {error}"));
                    return None;
                }
                salt
            }
        };
        Some(match interval {
            Some(interval) => {
                Pseudonyms::rotating(&salt, interval.duration(), Arc::new(SystemClock))
            }
            None => Pseudonyms::new(&salt),
        })
    }
}
