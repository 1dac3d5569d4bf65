//! Claims about client, scheme, host and identity: which fields make them, and what is believed.

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    AddressSource, TRACEPARENT, TRACESTATE, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_REQUEST_ID,
};
use crate::exchange::TraceContext;
use crate::fields;
use crate::target::Authority;

/// Fields that name a client's address, or what forwarding hid. Removed from every request, and
/// rebuilt from what was believed.
const ADDRESS_CLAIMS: &[&str] = &[
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "fastly-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-host",
    "x-originating-ip",
    "x-remote-ip",
    "x-remote-addr",
    "x-envoy-external-address",
    "x-azure-clientip",
    "wl-proxy-client-ip",
    "proxy-client-ip",
    "x-proxyuser-ip",
    // Not an address, but never a request field either: CGI turns it into HTTP_PROXY.
    "proxy",
];

/// Fields that only a trusted peer may send: they rewrite the target or vouch for an identity.
const TRUSTED_CLAIMS: &[&str] = &[
    "x-original-url",
    "x-rewrite-url",
    "client-cert",
    "client-cert-chain",
    "x-forwarded-client-cert",
    "x-client-cert",
    "x-ssl-cert",
    "x-ssl-client-cert",
    "x-ssl-client-verify",
    "x-ssl-client-dn",
    "ssl-client-cert",
    "ssl-client-verify",
    "x-client-dn",
    "x-request-id",
];

const FORWARDED_PREFIX: &str = "x-forwarded-";

/// Removes every claim that is not believed. Gives whether there is trace context: the names are
/// walked here anyway.
pub(super) fn remove(fields: &mut HeaderMap, trusted: bool) -> bool {
    let mut traced = false;
    // Two passes: names can not be removed while they are walked, and most requests have none.
    let mut claims: Vec<HeaderName> = Vec::new();
    for name in fields.keys() {
        let text = name.as_str();
        traced |= matches!(text, "traceparent" | "tracestate");
        if is_claim(text, trusted) {
            claims.push(name.clone());
        }
    }
    for name in claims {
        fields.remove(name);
    }
    traced
}

/// Removes a field in every spelling that a CGI-like origin reads as it.
pub(super) fn remove_spellings(fields: &mut HeaderMap, name: &str) {
    let name = name.replace('_', "-");
    let spellings: Vec<HeaderName> =
        fields.keys().filter(|own| own.as_str().replace('_', "-") == name).cloned().collect();
    for spelling in spellings {
        fields.remove(spelling);
    }
}

fn is_claim(name: &str, trusted: bool) -> bool {
    let possible =
        matches!(name.as_bytes().first(), Some(b'c' | b'f' | b'p' | b's' | b't' | b'w' | b'x'));
    if !possible {
        return false;
    }
    // A CGI-like origin reads `_` as `-`; from anybody such a spelling is an attempt to deceive.
    if name.contains('_') {
        let dashed = name.replace('_', "-");
        return is_claim_name(&dashed, false);
    }
    is_claim_name(name, trusted)
}

fn is_claim_name(name: &str, trusted: bool) -> bool {
    if ADDRESS_CLAIMS.contains(&name) {
        return true;
    }
    if trusted {
        // Rebuilt where they were believed; the certificate fields pass from who is trusted.
        return name.starts_with(FORWARDED_PREFIX) && !TRUSTED_CLAIMS.contains(&name);
    }
    name.starts_with(FORWARDED_PREFIX) || TRUSTED_CLAIMS.contains(&name)
}

/// The id a trusted peer gave: `[A-Za-z0-9._-]{1,128}`.
pub(super) fn request_id(fields: &HeaderMap) -> Option<&str> {
    let mut values = fields.get_all(X_REQUEST_ID).iter();
    let id = values.next()?.to_str().ok()?;
    let sound = (1..=128).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    (sound && values.next().is_none()).then_some(id)
}

/// The scheme the client used, as a trusted peer tells it.
pub(super) fn scheme(fields: &HeaderMap, source: &AddressSource) -> Option<&'static str> {
    let told = match source {
        AddressSource::Forwarded => fields::list(fields, &FORWARDED).last().and_then(|element| {
            element.split(';').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.trim().eq_ignore_ascii_case("proto").then(|| value.trim().trim_matches('"'))
            })
        }),
        _ => fields::list(fields, &X_FORWARDED_PROTO).last(),
    }?;
    ["https", "http"].into_iter().find(|scheme| told.eq_ignore_ascii_case(scheme))
}

/// The host the client asked for, as a trusted peer tells it.
pub(super) fn host(fields: &HeaderMap) -> Option<HeaderValue> {
    let mut values = fields.get_all(X_FORWARDED_HOST).iter();
    let value = values.next()?;
    let sound = value.to_str().is_ok_and(|host| Authority::parse(host).is_some());
    (sound && values.next().is_none()).then(|| value.clone())
}

/// Keeps a sound `traceparent` (W3C Trace Context); where there is none, the trace has `begun`
/// here. `traced`: there is some trace context.
/// Gives the context that it came with.
pub(super) fn trace_context(
    fields: &mut HeaderMap,
    begun: Option<HeaderValue>,
    traced: bool,
) -> Option<TraceContext> {
    if !traced {
        if let Some(begun) = begun {
            fields.insert(TRACEPARENT, begun);
        }
        return None;
    }
    let mut values = fields.get_all(TRACEPARENT).iter();
    let first = values.next().filter(|_| values.next().is_none());
    let sound = first.and_then(|value| TraceContext::parse(value.as_bytes()));
    if sound.is_some() {
        return sound;
    }
    fields.remove(TRACESTATE);
    match begun {
        Some(begun) => fields.insert(TRACEPARENT, begun),
        None => fields.remove(TRACEPARENT),
    };
    None
}
