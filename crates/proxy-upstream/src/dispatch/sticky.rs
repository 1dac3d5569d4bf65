//! A cookie that brings a client back to the endpoint it had.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Request};
use sha2::{Digest, Sha256};

use crate::balance::{cookie, hash_of};
use crate::cluster::Cluster;

/// Values that are remembered; endpoints that come and go must not make them grow for ever.
const REMEMBERED: usize = 4096;

/// Which cookie, and for how long. Its value names the endpoint by a hash; where that endpoint is
/// not in service or has no room, another one takes the request, and the cookie follows.
///
/// Who knows the names of endpoints, or guesses them, finds out by a hash which one it has. With a
/// [secret](Self::with_secret) nobody does.
///
/// A response that a shared cache may store gets no cookie: the cache would give one client's to
/// all.
#[derive(Clone)]
pub struct Sticky {
    name: Arc<str>,
    max_age: Option<Duration>,
    salt: u64,
    secret: Option<Arc<[u8]>>,
    values: Arc<Mutex<HashMap<u64, Arc<str>>>>,
}

impl PartialEq for Sticky {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.max_age, self.salt, &self.secret)
            == (&other.name, other.max_age, other.salt, &other.secret)
    }
}

impl std::fmt::Debug for Sticky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sticky").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Sticky {
    /// A cookie of this name; `salt`, such as the upstream's name, keeps the values of several
    /// upstreams apart. It lasts as long as the browser is open, or for `max_age`.
    pub fn new(name: &str, salt: &str, max_age: Option<Duration>) -> Self {
        let salt = hash_of(salt.as_bytes());
        Self { name: name.into(), max_age, salt, secret: None, values: Arc::default() }
    }

    /// Values that only those can make who know this: the same for all proxies in front of the same
    /// endpoints.
    #[must_use]
    pub fn with_secret(mut self, secret: &[u8]) -> Self {
        self.secret = Some(secret.into());
        self.values = Arc::default();
        self
    }

    fn value(&self, identity: u64) -> Arc<str> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = values.get(&identity) {
            return Arc::clone(known);
        }
        if values.len() >= REMEMBERED {
            values.clear();
        }
        let named = identity ^ self.salt.rotate_left(17);
        let mixed = match &self.secret {
            Some(secret) => keyed(secret, &named.to_be_bytes()),
            None => hash_of(&named.to_be_bytes()),
        };
        let value: Arc<str> = format!("{mixed:016x}").into();
        values.insert(identity, Arc::clone(&value));
        value
    }

    /// The endpoint that a request's cookie names.
    pub(super) fn wanted<B>(&self, request: &Request<B>, cluster: &Cluster) -> Option<usize> {
        let value = cookie(request, &self.name)?;
        (0..cluster.len()).find(|index| self.value(cluster.identity(*index)).as_bytes() == value)
    }

    /// The field that sets it (RFC 6265 section 4.1).
    pub(super) fn cookie(&self, identity: u64, secure: bool) -> Option<HeaderValue> {
        let mut text =
            format!("{}={}; Path=/; HttpOnly; SameSite=Lax", self.name, self.value(identity));
        if let Some(age) = self.max_age {
            text.push_str(&format!("; Max-Age={}", age.as_secs()));
        }
        if secure {
            text.push_str("; Secure");
        }
        HeaderValue::try_from(text).ok()
    }
}

/// Whether a shared cache may store a response for what it says of itself (RFC 9111 section 3).
pub(super) fn is_for_all(fields: &HeaderMap) -> bool {
    let lines = fields.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let directives = lines.flat_map(|line| line.split(',')).map(str::trim);
    let (mut allowed, mut refused) = (false, false);
    for directive in directives {
        let name = directive.split('=').next().unwrap_or_default().trim();
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        allowed |= is("public") || is("s-maxage") || is("max-age");
        refused |= is("private") || is("no-store") || is("no-cache");
    }
    allowed && !refused
}

/// The beginning of an HMAC with SHA-256 (RFC 2104).
fn keyed(secret: &[u8], message: &[u8]) -> u64 {
    let mut key = [0_u8; 64];
    match secret.len() <= key.len() {
        true => key[..secret.len()].copy_from_slice(secret),
        false => key[..32].copy_from_slice(&Sha256::digest(secret)),
    }
    let padded = |pad: u8| key.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    u64::from_be_bytes(outer[..8].try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyed_hash_is_that_of_rfc_4231() {
        assert_eq!(keyed(&[0x0b; 20], b"Hi There"), 0xb034_4c61_d8db_3853);
        let long = [0xaa; 131];
        let message = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(keyed(&long, message), 0x60e4_3159_1ee0_b67f);
    }

    #[test]
    fn a_secret_changes_every_value_and_others_stay_as_they_were() {
        let plain = Sticky::new("sid", "app", None);
        let (one, other) = (plain.clone().with_secret(b"one"), plain.clone().with_secret(b"other"));
        let values = [plain.value(7), one.value(7), other.value(7), one.value(8)];
        for (at, value) in values.iter().enumerate() {
            assert!(value.len() == 16 && !values[..at].contains(value), "{values:?}");
        }
        assert_eq!(one.value(7), values[1]);
    }

    #[test]
    fn what_a_shared_cache_may_store_is_for_all() {
        for (value, expected) in [
            ("public", true),
            ("max-age=60", true),
            ("S-MaxAge=5, must-revalidate", true),
            ("private, max-age=60", false),
            ("no-store", false),
            ("no-cache, max-age=5", false),
            ("must-revalidate", false),
        ] {
            let fields = [(CACHE_CONTROL, value.parse().unwrap())].into_iter().collect();
            assert_eq!(is_for_all(&fields), expected, "{value}");
        }
    }
}
