//! What a limit counts together: `key`, with the prefixes of client addresses.

use http::HeaderName;
use proxy_filter::rate::KeyPart;

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::LimitKey;
use crate::config::suggest::nearest;

/// The words of `key`.
const WORDS: [&str; 8] =
    ["client", "user", "route", "listener", "connection", "host", "method", "all"];

impl Resolver<'_> {
    /// The parts of a key; `default` where none is said.
    pub(super) fn limit_key(
        &mut self,
        path: &KeyPath,
        raw_key: Option<&LimitKey>,
        default: &str,
        ipv4_prefix: Option<u64>,
        ipv6_prefix: Option<u64>,
    ) -> Option<Vec<KeyPart>> {
        let prefix = |given: Option<u64>, default| {
            given.map_or(default, |bits| u8::try_from(bits).unwrap_or(u8::MAX))
        };
        let client = KeyPart::Client {
            ipv4_prefix: prefix(ipv4_prefix, 32),
            ipv6_prefix: prefix(ipv6_prefix, 64),
        };
        let at = path.key("key");
        let parts = match raw_key {
            None => vec![self.key_part(&at, default, &client)?],
            Some(LimitKey::One(word)) if word == "all" => Vec::new(),
            Some(LimitKey::One(word)) => vec![self.key_part(&at, word, &client)?],
            Some(LimitKey::Several(words)) => {
                if words.is_empty() || words.iter().any(|word| word == "all") {
                    let message = "\"all\" stands alone; an array names what tells requests apart";
                    self.error(&at, message);
                    return None;
                }
                let words = words.iter().enumerate();
                let parts = words.map(|(n, word)| self.key_part(&at.index(n), word, &client));
                // All of them, so that each wrong word is named.
                parts.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?
            }
        };
        for (key, given) in [("ipv4_prefix", ipv4_prefix), ("ipv6_prefix", ipv6_prefix)] {
            if given.is_some() && !parts.contains(&client) {
                self.warning(&path.key(key), "has no effect: the client is not part of `key`");
            }
        }
        Some(parts)
    }

    fn key_part(&mut self, path: &KeyPath, word: &str, client: &KeyPart) -> Option<KeyPart> {
        if let Some(name) = word.strip_prefix("field:") {
            let message = || format!("`{name}` is no name of a field");
            let name = name.parse::<HeaderName>().map_err(|_| message());
            return self.take(path, name).map(KeyPart::Field);
        }
        Some(match word {
            "client" => client.clone(),
            "user" => KeyPart::User,
            "route" => KeyPart::Route,
            "listener" => KeyPart::Listener,
            "connection" => KeyPart::Connection,
            "host" => KeyPart::Host,
            "method" => KeyPart::Method,
            _ => {
                let hint = match nearest(word, WORDS) {
                    Some(near) => format!("; did you mean `{near}`?"),
                    None => format!("; there are `{}` and `field:NAME`", WORDS.join("`, `")),
                };
                self.error(path, format!("`{word}` is no part of a key{hint}"));
                return None;
            }
        })
    }
}
