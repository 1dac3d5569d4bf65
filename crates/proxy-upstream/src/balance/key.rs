//! What a request is hashed by.

use std::hash::Hasher as _;

use http::header::HOST;
use http::{HeaderName, Request};
use proxy_core::Exchange;
use proxy_core::fields::cookies;

use super::random::mix;

/// The part of a request that decides its endpoint: equal values come to the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The path, without the query.
    Path,
    /// The path with the query.
    Target,
    /// The value of `Host`.
    Host,
    /// The first value of a field.
    Field(HeaderName),
    /// The value of a cookie.
    Cookie(Box<str>),
    /// The client's address.
    Client,
}

impl HashKey {
    /// The hash of the request's value; `None` where it has none.
    pub fn of<B>(&self, request: &Request<B>) -> Option<u64> {
        let text = match self {
            Self::Path => request.uri().path().as_bytes(),
            Self::Target => request.uri().path_and_query()?.as_str().as_bytes(),
            Self::Host => request.headers().get(HOST)?.as_bytes(),
            Self::Field(name) => request.headers().get(name)?.as_bytes(),
            Self::Cookie(name) => cookie(request, name)?,
            Self::Client => {
                // An IPv6 client owns a /64 and may change its address at will.
                let key = Exchange::of(request)?.client().key(32, 64);
                let mut hasher = Fnv(FNV_START);
                std::hash::Hash::hash(&key, &mut hasher);
                return Some(mix(hasher.finish()));
            }
        };
        Some(hash_of(text))
    }
}

/// The value of a cookie (RFC 6265 section 4.2).
pub(crate) fn cookie<'a, B>(request: &'a Request<B>, name: &'a str) -> Option<&'a [u8]> {
    cookies(request.headers(), name).find(|value| !value.is_empty())
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: the same in every process, today and later, so that several proxies agree.
struct Fnv(u64);

impl std::hash::Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// A hash that every process agrees on.
pub(crate) fn hash_of(text: &[u8]) -> u64 {
    let mut hasher = Fnv(FNV_START);
    hasher.write(text);
    mix(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_reads_its_part() {
        let request = |target: &str, more: &[(&str, &str)]| {
            let mut request = Request::builder().uri(target);
            for (name, value) in more {
                request = request.header(*name, *value);
            }
            request.body(()).expect("a request")
        };
        let one = request("/a?x", &[("host", "h"), ("x-key", "k"), ("cookie", "b=2; sid=1")]);
        let other = request("/a?y", &[("host", "i"), ("cookie", "sidx=1;sid=2")]);
        let field = HashKey::Field(HeaderName::from_static("x-key"));
        let cookie = HashKey::Cookie("sid".into());
        assert_eq!(HashKey::Path.of(&one), HashKey::Path.of(&other));
        for key in [HashKey::Target, HashKey::Host, cookie.clone()] {
            assert!(key.of(&one).is_some() && key.of(&one) != key.of(&other), "{key:?}");
        }
        assert_eq!((field.of(&one), field.of(&other)), (Some(hash_of(b"k")), None));
        assert_eq!(cookie.of(&one), Some(hash_of(b"1")));
        assert_eq!(HashKey::Client.of(&one), None);
        // Fixed for ever: processes of other versions must agree.
        assert_eq!(hash_of(b"a"), 198_367_012_849_983_736);
    }
}
