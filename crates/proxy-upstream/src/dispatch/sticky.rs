//! A cookie that brings a client back to the endpoint it had.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request};

use crate::balance::{cookie, hash_of};
use crate::cluster::Cluster;

/// Which cookie, and for how long. Its value names the endpoint by a hash; where that endpoint is
/// not in service or has no room, another one takes the request, and the cookie follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    name: Arc<str>,
    max_age: Option<Duration>,
    salt: u64,
}

impl Sticky {
    /// A cookie of this name; `salt`, such as the upstream's name, keeps the values of several
    /// upstreams apart. It lasts as long as the browser is open, or for `max_age`.
    pub fn new(name: &str, salt: &str, max_age: Option<Duration>) -> Self {
        Self { name: name.into(), max_age, salt: hash_of(salt.as_bytes()) }
    }

    fn value(&self, identity: u64) -> String {
        let mixed = hash_of(&(identity ^ self.salt.rotate_left(17)).to_be_bytes());
        format!("{mixed:016x}")
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
