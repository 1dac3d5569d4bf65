//! Judges the head of a request.

use http::header::{CONTENT_TYPE, COOKIE, HOST, REFERER, USER_AGENT};
use http::{HeaderName, Method};
use proxy_core::RequestHead;

use super::detect::Signal;
use super::extract::{cookies, decode_form};
use super::judge::Judge;
use super::structure::{self, Structure};
use super::value::{Place, Value};

/// Judges all of a head.
pub(super) fn judge(head: RequestHead<'_>, judge: &mut Judge) {
    method(head.method, judge);
    target(head, judge);
    fields(head, judge);
}

fn method(method: &Method, judge: &mut Judge) {
    let known = matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::OPTIONS
            | Method::CONNECT
    );
    if !known {
        judge.signal(Signal::MethodUnusual, method.as_str().as_bytes());
    }
}

fn target(head: RequestHead<'_>, judge: &mut Judge) {
    // What the client wrote, where that is known: the normal form has lost the steps up.
    let raw = head.exchange().and_then(|e| e.facts()).map(|facts| &facts.raw_target);
    let uri = raw.filter(|uri| uri.path() != "").unwrap_or(head.target);
    let path = uri.path().as_bytes();
    if path.len() > 1 {
        let text = &path[1..];
        match structure::of(text) {
            Structure::Pairs(_) | Structure::Target(_) => {
                judge.value(Value { place: Place::Path, name: b"", bytes: text, is_name: false });
                judge.path(Place::Path, b"", path);
            }
            _ => judge.path(Place::Path, b"", path),
        }
    }
    let Some(query) = uri.query() else { return };
    let mut name_text = Vec::new();
    let mut value_text = Vec::new();
    let mut session = false;
    for (name, value) in super::extract::pairs(query.as_bytes()) {
        decode_form(name, &mut name_text);
        match value {
            Some(value) => {
                session |= is_session(&name_text);
                judge.value(Value {
                    place: Place::Query,
                    name: b"",
                    bytes: &name_text,
                    is_name: true,
                });
                decode_form(value, &mut value_text);
                judge.value(Value {
                    place: Place::Query,
                    name: &name_text,
                    bytes: &value_text,
                    is_name: false,
                });
            }
            None => {
                judge.value(Value {
                    place: Place::Query,
                    name: b"",
                    bytes: &name_text,
                    is_name: false,
                });
            }
        }
    }
    if session && from_elsewhere(head) {
        judge.signal(Signal::SessionForeign, b"");
    }
}

/// Whether a parameter is the cookie of a session of some platform.
pub(super) fn is_session(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 22] = [
        b"jsessionid",
        b"phpsessid",
        b"phpsessionid",
        b"phpsession",
        b"aspsessionid",
        b"asp.net_sessionid",
        b"cfid",
        b"cftoken",
        b"cfsid",
        b"jservsession",
        b"jwsession",
        b"weblogicsession",
        b"zend_session_id",
        b"ci_session",
        b"_flask_session",
        b"koa:sess",
        b"sails.sid",
        b"play_session",
        b"_rails_session",
        b"meteor_login_token",
        b"cakephp",
        b"laravel_session",
    ];
    NAMES.iter().any(|n| n.eq_ignore_ascii_case(name))
        || name.len() > 20
            && name.windows(23).any(|w| w.eq_ignore_ascii_case(b"next-auth.session-token"))
}

/// Whether the page that made the request is of another host.
fn from_elsewhere(head: RequestHead<'_>) -> bool {
    let field = |name: &HeaderName| head.fields.get(name).and_then(|v| v.to_str().ok());
    let Some(referer) = field(&REFERER) else { return false };
    let Some(host) = head.target.authority().map(|a| a.as_str()).or_else(|| field(&HOST)) else {
        return false;
    };
    let Some((_, rest)) = referer.split_once("://") else { return false };
    let from = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let name = |authority: &str| {
        authority.rsplit_once(':').map_or(authority, |(name, _)| name).to_ascii_lowercase()
    };
    name(from) != name(host)
}

/// Fields that browsers fill by themselves, or that are tokens of protocols.
fn is_skipped(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "accept"
            | "accept-encoding"
            | "accept-language"
            | "accept-charset"
            | "authorization"
            | "proxy-authorization"
            | "cache-control"
            | "connection"
            | "content-length"
            | "content-encoding"
            | "date"
            | "dnt"
            | "etag"
            | "expect"
            | "if-match"
            | "if-modified-since"
            | "if-none-match"
            | "if-range"
            | "if-unmodified-since"
            | "keep-alive"
            | "pragma"
            | "priority"
            | "proxy-connection"
            | "range"
            | "save-data"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "upgrade-insecure-requests"
            | "via"
            | "forwarded"
            | "traceparent"
            | "tracestate"
            | "baggage"
            | "content-security-policy"
            | "alt-used"
            | "signature"
            | "signature-input"
            | "digest"
            | "content-digest"
            | "x-client-data"
    ) || name.starts_with("sec-")
}

fn fields(head: RequestHead<'_>, judge: &mut Judge) {
    let config_skips = judge.shared.config.skip_fields.clone();
    for (name, value) in head.fields {
        let bytes = value.as_bytes();
        match *name {
            COOKIE => {
                for (name, value) in cookies(bytes) {
                    judge.value(Value {
                        place: Place::Cookie,
                        name: b"",
                        bytes: name,
                        is_name: true,
                    });
                    judge.value(Value { place: Place::Cookie, name, bytes: value, is_name: false });
                }
            }
            USER_AGENT => judge.value(Value {
                place: Place::Agent,
                name: b"user-agent",
                bytes,
                is_name: false,
            }),
            REFERER => judge.value(Value {
                place: Place::Referer,
                name: b"referer",
                bytes,
                is_name: false,
            }),
            CONTENT_TYPE => judge.simple(Place::ContentType, b"content-type", bytes),
            _ if is_skipped(name.as_str()) => {}
            _ if config_skips.iter().any(|skip| skip == name.as_str()) => {}
            _ => judge.value(Value {
                place: Place::Field,
                name: name.as_str().as_bytes(),
                bytes,
                is_name: false,
            }),
        }
    }
}
