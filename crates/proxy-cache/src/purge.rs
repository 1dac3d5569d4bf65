//! Purging: which stored responses an operator means, and removing them or marking them stale.
//!
//! ```
//! use proxy_cache::purge::{Selector, purge};
//! use proxy_cache::store::MemoryStore;
//!
//! let store = MemoryStore::with_capacity(1 << 20);
//! let selector = Selector::prefix("http://www.example.com/static/").unwrap();
//! let (soft, dry_run) = (false, false);
//! assert_eq!(purge(&store, &selector, soft, dry_run).responses, 0);
//! ```
//!
//! Locations are those of the key: scheme and authority as the client named them, path and query
//! as they are forwarded. Every space, variant and derived coding of a location is meant.

use proxy_core::target::Authority;

use crate::keying::plain_authority;
use crate::store::{CacheStore, Freed, StoredHead, Sweep};

/// Which stored responses are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selector {
    /// Those of one URL.
    Url(Location),
    /// Those whose URL begins so, byte by byte after scheme and authority: `/a` takes in `/ab`,
    /// `/a/` does not.
    Prefix(Location),
    /// Those that the origin has given this tag.
    Tag(Box<str>),
    /// Those of a host, whatever its port and scheme; with a port, of that port only.
    Host(Box<str>),
    /// All.
    All,
}

/// A URL as keys have it: host in lower case, no port that is the scheme's own, no fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    scheme: Box<str>,
    authority: Box<str>,
    target: Box<str>,
}

/// Why a text selects nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// It is no URL with a scheme and a host.
    #[error("expected a URL such as `http://www.example.com/a`")]
    Url,
    /// It is no host.
    #[error("expected a host such as `www.example.com` or `www.example.com:8080`")]
    Host,
    /// It is no tag: tags are of visible characters, with no space around.
    #[error("expected a tag of visible ASCII characters")]
    Tag,
}

impl Selector {
    /// The responses of one URL.
    ///
    /// # Errors
    /// For what is no absolute http or https URL.
    pub fn url(url: &str) -> Result<Self, SelectorError> {
        Location::parse(url).map(Self::Url)
    }

    /// The responses of all URLs that begin so: `scheme://host/path...`.
    ///
    /// # Errors
    /// For what is no absolute http or https URL.
    pub fn prefix(url: &str) -> Result<Self, SelectorError> {
        Location::parse(url).map(Self::Prefix)
    }

    /// The responses with a tag.
    ///
    /// # Errors
    /// For what no response can have as a tag.
    pub fn tag(tag: &str) -> Result<Self, SelectorError> {
        let tag = tag.trim_matches(' ');
        let visible = !tag.is_empty() && tag.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        visible.then(|| Self::Tag(tag.into())).ok_or(SelectorError::Tag)
    }

    /// The responses of a host.
    ///
    /// # Errors
    /// For what is neither a host nor a host with a port.
    pub fn host(host: &str) -> Result<Self, SelectorError> {
        let valid = is_authority(host) && !host.ends_with(':');
        valid.then(|| Self::Host(host.to_ascii_lowercase().into())).ok_or(SelectorError::Host)
    }

    /// Whether a stored response is meant.
    pub fn selects(&self, head: &StoredHead) -> bool {
        let key = &head.key;
        let same_place = |location: &Location| {
            location.scheme == key.scheme && location.authority == key.authority
        };
        match self {
            Self::Url(url) => same_place(url) && url.target == key.target,
            Self::Prefix(prefix) => same_place(prefix) && key.target.starts_with(&*prefix.target),
            Self::Tag(tag) => head.tags.contains(tag),
            Self::Host(host) => is_host(&key.authority, &key.scheme, host),
            Self::All => true,
        }
    }
}

impl Location {
    fn parse(url: &str) -> Result<Self, SelectorError> {
        let (scheme, rest) = url.split_once("://").ok_or(SelectorError::Url)?;
        let scheme = scheme.to_ascii_lowercase();
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let visible = target.bytes().all(|byte| byte.is_ascii_graphic());
        if !matches!(&*scheme, "http" | "https") || !is_authority(authority) || !visible {
            return Err(SelectorError::Url);
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            authority: plain_authority(authority, &scheme).into(),
            target: [slash, target].concat().into(),
            scheme: scheme.into(),
        })
    }
}

/// Removes what a selector means, or with `soft` marks it stale, so that it is validated before its
/// next use; with `dry_run` it only counts. What is stale already is not marked, nor counted, again.
///
/// It looks at everything that is stored, and takes its time: call it on a thread that may block.
pub fn purge(store: &dyn CacheStore, selector: &Selector, soft: bool, dry_run: bool) -> Freed {
    store.sweep(&mut |stored| {
        let head = &stored.head;
        if !selector.selects(head) || (soft && head.lifetime.expired) {
            Sweep::Keep
        } else if dry_run {
            Sweep::Count
        } else if soft {
            let mut head = head.clone();
            head.lifetime.expire();
            Sweep::Replace(Box::new(head))
        } else {
            Sweep::Remove
        }
    })
}

fn is_authority(text: &str) -> bool {
    Authority::parse(text).is_some_and(|parsed| !parsed.host.is_empty())
}

/// Whether a key's authority is this host, in lower case, at any port where it names none.
fn is_host(authority: &str, scheme: &str, host: &str) -> bool {
    if authority == host || plain_authority(host, scheme) == authority {
        return true;
    }
    let port = authority.strip_prefix(host).and_then(|rest| rest.strip_prefix(':'));
    port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::contract::Sample;
    use crate::store::{KeyText, MemoryStore, Variants};

    fn head(scheme: &str, authority: &str, target: &str, tags: &[&str]) -> StoredHead {
        let mut head = Sample::new("/", 1, 10).head;
        head.key = Arc::new(KeyText {
            space: "gateway/a".into(),
            scheme: scheme.into(),
            authority: authority.into(),
            target: target.into(),
            extra: "".into(),
        });
        head.tags = tags.iter().map(|tag| Box::from(*tag)).collect();
        head
    }

    #[test]
    fn what_is_meant() {
        let url = |text| Selector::url(text).expect("a URL");
        let prefix = |text| Selector::prefix(text).expect("a prefix");
        let host = |text| Selector::host(text).expect("a host");
        let tag = |text| Selector::tag(text).expect("a tag");
        let here = head("http", "a.test", "/b/c?d", &["one", "two"]);
        let port = head("https", "a.test:8443", "/", &[]);
        for (selector, of_here, of_port) in [
            (url("http://a.test/b/c?d"), true, false),
            (url("HTTP://A.test:80/b/c?d#e"), true, false),
            (url("http://a.test/b/c"), false, false),
            (url("https://a.test/b/c?d"), false, false),
            (url("http://b.a.test/b/c?d"), false, false),
            (url("https://a.test:8443"), false, true),
            (prefix("http://a.test"), true, false),
            (prefix("http://a.test/b/"), true, false),
            (prefix("http://a.test/b/c?"), true, false),
            (prefix("http://a.test/bb"), false, false),
            (prefix("http://a.tes/"), false, false),
            (tag("one"), true, false),
            (tag("on"), false, false),
            (tag("One"), false, false),
            (host("A.test"), true, true),
            (host("a.test:80"), true, false),
            (host("a.test:8443"), false, true),
            (host("a.tes"), false, false),
            (host("test"), false, false),
            (Selector::All, true, true),
        ] {
            assert_eq!(selector.selects(&here), of_here, "{selector:?}");
            assert_eq!(selector.selects(&port), of_port, "{selector:?}");
        }
        let six = head("http", "[::1]:81", "/", &[]);
        assert!(host("[::1]").selects(&six) && !host("[::]").selects(&six));
    }

    #[test]
    fn what_means_nothing_is_told_so() {
        for text in ["", "/a", "a.test", "a.test/b", "ftp://a.test/", "http://", "http:///a"] {
            assert_eq!(Selector::url(text), Err(SelectorError::Url), "{text}");
            assert_eq!(Selector::prefix(text), Err(SelectorError::Url), "{text}");
        }
        for text in ["http://u@a.test/", "http://a.test/b c", "http://a.test:x/"] {
            assert_eq!(Selector::url(text), Err(SelectorError::Url), "{text}");
        }
        for text in ["", "http://a.test", "a.test/", "a b", "a.test:", ":80"] {
            assert_eq!(Selector::host(text), Err(SelectorError::Host), "{text}");
        }
        assert_eq!(Selector::tag(" a b "), Ok(Selector::Tag("a b".into())));
        for text in ["", " ", "a\tb", "é"] {
            assert_eq!(Selector::tag(text), Err(SelectorError::Tag), "{text}");
        }
    }

    fn found(store: &MemoryStore, sample: &Sample) -> Option<Variants> {
        store.lookup(&sample.key())
    }

    #[test]
    fn removed_marked_or_only_counted() {
        let store = MemoryStore::with_capacity(16 << 20);
        let samples: Vec<Sample> = ["one", "two", "three"]
            .iter()
            .enumerate()
            .map(|(n, tag)| {
                let mut sample = Sample::new(&format!("/{n}"), 1, 100);
                sample.head.tags = [Box::from(*tag), "all".into()].into();
                assert!(sample.store(&store).is_ok());
                sample
            })
            .collect();
        let tag = |tag| Selector::tag(tag).expect("a tag");
        let counted = purge(&store, &tag("all"), false, true);
        assert_eq!((counted.responses, store.usage().responses), (3, 3));
        assert!(counted.bytes >= 300);

        let marked = purge(&store, &tag("one"), true, false);
        assert_eq!(marked.responses, 1);
        let stale = |n: usize| found(&store, &samples[n]).map(|v| v[0].head.lifetime.expired);
        assert_eq!([stale(0), stale(1), stale(2)], [Some(true), Some(false), Some(false)]);
        // What is marked is not marked again.
        assert_eq!(purge(&store, &tag("all"), true, true).responses, 2);

        assert_eq!(purge(&store, &tag("two"), false, false).responses, 1);
        assert_eq!([stale(0), stale(1), stale(2)], [Some(true), None, Some(false)]);
        assert_eq!(purge(&store, &Selector::All, false, false).responses, 2);
        assert_eq!(store.usage().responses, 0);
    }
}
