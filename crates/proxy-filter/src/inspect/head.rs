//! Judges the head of a request.

use http::header::{CONTENT_TYPE, COOKIE, HOST, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, Method};
use proxy_core::RequestHead;

use super::detect::Signal;
use super::extract::cookies;
use super::judge::Judge;
use super::kinds::Kinds;
use super::structure::{self, Structure};
use super::value::{Place, Value};

/// Judges all of a head.
pub(super) fn judge(head: RequestHead<'_>, judge: &mut Judge) {
    method(head.method, judge);
    target(head, judge);
    fields(head.fields, judge);
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
    if has_hidden(path) {
        judge.signal(Signal::PathHidden, b"");
    }
    if path.len() > 1 {
        let text = &path[1..];
        match structure::of(text, Kinds::of(text)) {
            Structure::Pairs(_) | Structure::Target(_) => {
                judge.value(Value { place: Place::Path, name: b"", bytes: text, is_name: false });
                judge.path(Place::Path, b"", path);
            }
            _ => judge.path(Place::Path, b"", path),
        }
    }
    let Some(query) = uri.query() else { return };
    let query = query.as_bytes();
    let value = Value { place: Place::Query, name: b"", bytes: query, is_name: false };
    judge.pairs(value, query);
    if has_session(path, query) && from_elsewhere(head) {
        judge.signal(Signal::SessionForeign, b"");
    }
}

/// Whether one of the first two segments of a path begins with a dot, as files do that are not meant
/// to be served. Not those that platforms serve all the same, nor a bare ending such as `.json`, nor
/// two letters, by which services name their own ways in (`/.ws`).
/// Deeper down pages show the files of others; there only names that are secrets count, by rule.
fn has_hidden(path: &[u8]) -> bool {
    const SERVED: [&[u8]; 19] = [
        b"well-known",
        b"netlify",
        b"auth",
        b"api",
        b"rum",
        b"ghost",
        b"amplify",
        b"vercel",
        b"edge",
        b"next",
        b"nuxt",
        b"resources",
        b"element",
        b"cdn",
        b"rest",
        b"imaging",
        b"magnolia",
        b"ajax",
        b"assets",
    ];
    const ENDINGS: [&[u8]; 10] =
        [b"json", b"xml", b"html", b"rss", b"js", b"css", b"mobile", b"compact", b"ics", b"vite"];
    let last = path.rsplit(|&b| b == b'/').next();
    path.split(|&b| b == b'/').skip(1).take(2).enumerate().any(|(depth, segment)| {
        let Some(name) = segment.strip_prefix(b".") else { return false };
        name.first().is_some_and(u8::is_ascii_alphabetic)
            && name.len() > 2
            && !SERVED.iter().any(|served| begins_with_word(name, served))
            && !ENDINGS.contains(&name)
            && !(depth > 0 && last == Some(segment) && is_symbol(name))
    })
}

/// Whether a name is the symbol of an index at an exchange, which pages of quotes end with: `.SPX`.
fn is_symbol(name: &[u8]) -> bool {
    name.len() <= 6 && name.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Whether a name begins with a word that ends there: `cdn-cgi` with `cdn`, and not `restored` with
/// `rest`.
fn begins_with_word(name: &[u8], word: &[u8]) -> bool {
    let rest = name.strip_prefix(word);
    rest.is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphanumeric))
}

/// Whether a query hands over the id of a session. Under names that any program may use, only where
/// it hands over little else and asks for no asset: what is embedded in pages of others counts
/// sessions of its own.
fn has_session(path: &[u8], query: &[u8]) -> bool {
    const ASSETS: [&[u8]; 6] = [b".js", b".gif", b".png", b".css", b".json", b".jpg"];
    let pairs = || super::extract::pairs(query).filter(|(_, value)| value.is_some());
    pairs().any(|(name, _)| is_session(name))
        || pairs().any(|(name, _)| is_any_session(name))
            && pairs().count() <= 2
            && !ASSETS.iter().any(|ending| path.ends_with(ending))
}

/// Whether a parameter is named for sessions, as those of many programs are.
fn is_any_session(name: &[u8]) -> bool {
    [&b"sessionid"[..], b"session_id", b"_session_id", b"_sessionid"]
        .iter()
        .any(|n| n.eq_ignore_ascii_case(name))
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
    let Some(host) =
        head.target.authority().map(http::uri::Authority::as_str).or_else(|| field(&HOST))
    else {
        return false;
    };
    let Some((_, rest)) = referer.split_once("://") else { return false };
    let from = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let name = |authority: &str| {
        authority.rsplit_once(':').map_or(authority, |(name, _)| name).to_ascii_lowercase()
    };
    name(from) != name(host)
}

/// Whether a field has what loggers and shells expand, and what no browser and no token has.
fn is_expanded(value: &[u8]) -> bool {
    memchr::memchr_iter(b'{', value).any(|at| {
        let before = &value[..at];
        matches!(before.last(), Some(b'$' | b'%' | b'#'))
            || before.trim_ascii_end().ends_with(b"()")
    })
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

/// The charset that a content type names.
fn charset(content_type: &[u8]) -> Option<&[u8]> {
    let at = content_type.windows(8).position(|w| w.eq_ignore_ascii_case(b"charset="))?;
    let rest = &content_type[at + 8..];
    let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
    let end = rest.iter().position(|b| matches!(b, b'"' | b';' | b' ' | b','));
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// Whether a charset is one of those that keep ASCII as it is.
fn is_charset(name: &[u8]) -> bool {
    let lower = name.to_ascii_lowercase();
    let starts = |family: &[u8]| lower.starts_with(family);
    matches!(
        &lower[..],
        b"" | b"utf-8"
            | b"utf8"
            | b"utf-8;"
            | b"us-ascii"
            | b"ascii"
            | b"latin1"
            | b"tis-620"
            | b"undefined"
            | b"default"
            | b"binary"
    ) || [
        &b"iso-8859"[..],
        b"iso8859",
        b"windows-",
        b"shift",
        b"sjis",
        b"euc-",
        b"gb",
        b"big5",
        b"koi8",
        b"cp125",
        b"ks_c",
    ]
    .into_iter()
    .any(starts)
}

/// Judges the fields of a head, or of trailers.
pub(super) fn fields(fields: &HeaderMap, judge: &mut Judge) {
    let shared = std::sync::Arc::clone(&judge.shared);
    for (name, value) in fields {
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
            CONTENT_TYPE => {
                judge.simple(Place::ContentType, b"content-type", bytes);
                if bytes.iter().any(|b| b"()<>{}#".contains(b)) {
                    judge.signal(Signal::ContentTypeOdd, b"content-type");
                }
                if charset(bytes).is_some_and(|name| !is_charset(name)) {
                    judge.signal(Signal::CharsetHidden, b"content-type");
                }
            }
            _ if is_skipped(name.as_str()) && !is_expanded(bytes) => {}
            _ if shared.config.skip_fields.iter().any(|skip| skip == name.as_str()) => {}
            _ => judge.value(Value {
                place: Place::Field,
                name: name.as_str().as_bytes(),
                bytes,
                is_name: false,
            }),
        }
    }
}
