//! Which fields of a response a shared cache stores, and which a 304 or a HEAD changes
//! (RFC 9111 sections 3.1 and 3.2).

use http::{HeaderMap, HeaderName, header};

use super::directives::ResponseDirectives;
use super::lists;

/// Fields about the connection or a proxy, which are not stored (RFC 9111 section 3.1, RFC 9110
/// section 7.6.1).
fn is_about_the_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Fields that `Connection` never makes hop-by-hop: they are for every recipient, and without them
/// the stored response would mean something else (RFC 9110 section 7.6.1).
fn is_for_all(name: &[u8]) -> bool {
    [header::CACHE_CONTROL, header::VARY, header::CONTENT_TYPE, header::CONTENT_ENCODING]
        .iter()
        .any(|kept| kept.as_str().as_bytes().eq_ignore_ascii_case(name))
}

/// The names that this response keeps out of the store.
pub(super) struct Excluded<'a> {
    response: &'a HeaderMap,
    directives: &'a ResponseDirectives,
}

impl<'a> Excluded<'a> {
    pub(super) const fn by(response: &'a HeaderMap, directives: &'a ResponseDirectives) -> Self {
        Self { response, directives }
    }

    pub(super) fn contains(&self, name: &HeaderName) -> bool {
        is_about_the_connection(name) || self.names_field(name) || self.is_listed(name)
    }

    /// Named by `private` or `no-cache` (RFC 9111 sections 5.2.2.4 and 5.2.2.7). What `no-cache`
    /// names might be stored and validated before use; not to store it is simpler and safe.
    pub(super) fn names_field(&self, name: &HeaderName) -> bool {
        self.directives.private.fields().contains(name)
            || self.directives.no_cache.fields().contains(name)
    }

    fn is_listed(&self, name: &HeaderName) -> bool {
        self.response
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|line| lists::members(line.as_bytes()))
            .any(|option| {
                option.eq_ignore_ascii_case(name.as_str().as_bytes()) && !is_for_all(option)
            })
    }
}

/// The fields of a response that are stored, in their order: all but those about the connection,
/// those `Connection` lists, those about a proxy, and those `directives` names in `private` or
/// `no-cache`.
pub(super) fn storable(response: &HeaderMap, directives: &ResponseDirectives) -> HeaderMap {
    let excluded = Excluded::by(response, directives);
    let mut stored = HeaderMap::with_capacity(response.keys_len());
    for name in response.keys().filter(|name| !excluded.contains(name)) {
        for value in response.get_all(name) {
            stored.append(name, value.clone());
        }
    }
    stored
}

/// Whether the field describes the stored content as it is kept, so that an update must leave it
/// (RFC 9111 section 3.2).
fn describes_content(name: &HeaderName) -> bool {
    [header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::CONTENT_RANGE].contains(name)
}

/// Replaces the stored fields by the fresh ones.
pub(super) fn update(stored: &mut HeaderMap, fresh: &HeaderMap, directives: &ResponseDirectives) {
    // Both are about the one message they came with: an Age that stayed would age the new one.
    for name in [header::AGE, header::DATE] {
        stored.remove(name);
    }
    let excluded = Excluded::by(fresh, directives);
    for name in directives.private.fields().iter().chain(directives.no_cache.fields()) {
        stored.remove(name);
    }
    for name in fresh.keys() {
        if excluded.contains(name) || describes_content(name) {
            continue;
        }
        let mut values = fresh.get_all(name).iter();
        if let Some(first) = values.next() {
            stored.insert(name, first.clone());
        }
        for value in values {
            stored.append(name, value.clone());
        }
    }
}
