//! What hygiene does to a request.

use bytes::Bytes;
use http::header::{
    ALLOW, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, MAX_FORWARDS, TE, TRANSFER_ENCODING,
    UPGRADE, VIA,
};
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};

use super::via::Loop;
use super::{Config, Role};
use crate::exchange::{Exchange, ParentTunnel, RequestFacts, SentFields};
use crate::fields;
use crate::refusal::Refusal;
use crate::target::{AsteriskTarget, Authority, TargetForm};

/// Every method but CONNECT.
const METHODS: &str = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, TRACE";

/// What becomes of a request.
pub(super) enum Outcome {
    /// It goes on.
    Forward,
    /// It is refused.
    Refuse(Box<Refusal>),
    /// It ends here by its own wish (`Max-Forwards: 0`).
    Answer(Box<Response<Bytes>>),
}

fn bad(reason: &'static str) -> Box<Refusal> {
    Box::new(Refusal::new(StatusCode::BAD_REQUEST, reason).close())
}

/// Which fields are there that hygiene asks about, and how many there are: one walk over them is
/// cheaper than a look-up for each that is mostly not there.
#[derive(Clone, Copy, Default)]
struct Seen {
    expect: bool,
    te: bool,
    /// `Content-Length` or `Transfer-Encoding`.
    length: bool,
    upgrade: bool,
    via: bool,
    sent: SentFields,
}

impl Seen {
    /// And the first `Host`.
    fn of(fields: &HeaderMap) -> (Self, Option<&HeaderValue>) {
        let (mut seen, mut host) = (Self::default(), None);
        for (name, value) in fields {
            seen.sent.add(name, value);
            match *name {
                EXPECT => seen.expect = true,
                TE => seen.te = true,
                CONTENT_LENGTH | TRANSFER_ENCODING => seen.length = true,
                UPGRADE => seen.upgrade = true,
                VIA => seen.via = true,
                HOST => host = host.or(Some(value)),
                _ => {}
            }
        }
        (seen, host)
    }
}

impl Config {
    pub(super) fn clean<B>(&self, request: &mut Request<B>) -> Outcome {
        match self.try_clean(request) {
            Ok(None) => Outcome::Forward,
            Ok(Some(answer)) => Outcome::Answer(answer),
            Err(refusal) => Outcome::Refuse(refusal),
        }
    }

    fn try_clean<B>(
        &self,
        request: &mut Request<B>,
    ) -> Result<Option<Box<Response<Bytes>>>, Box<Refusal>> {
        let version = request.version();
        let parent = Exchange::of(request).and_then(|x| x.connection().parent.clone());
        let entered = parent.map(|parent| enter_tunnel(request, &parent)).transpose();
        let form = self.form(request);
        let (seen, host) = Seen::of(request.headers());
        let expects_continue = match seen.expect {
            true => expects_continue(request.headers(), version),
            false => Ok(false),
        };
        if let Some(exchange) = Exchange::of(request) {
            let authority = request.uri().authority().map(http::uri::Authority::as_str);
            if let Some(host) = authority.or_else(|| host?.to_str().ok()) {
                exchange.connection().activity.note_host(host);
            }
            exchange.set_facts(RequestFacts {
                raw_target: request.uri().clone(),
                form,
                version,
                takes_trailers: seen.te && fields::takes_trailers(request.headers()),
                expects_continue: matches!(expects_continue, Ok(true)),
                sent_fields: seen.sent,
            });
        }
        if seen.length {
            check_lengths(request.headers())?;
        }
        let is_inside = entered?.is_some();
        self.check_form(request.method(), form)?;
        set_host(request, form, is_inside)?;
        if self.role == Role::Gateway {
            check_server_name(request)?;
        }
        let expects_continue = expects_continue?;
        if seen.upgrade {
            check_upgrade(request.headers())?;
        }
        match seen.via.then(|| self.via.find_loop(request.headers())).flatten() {
            None => {}
            Some(Loop::OwnName) => {
                return Err(Box::new(Refusal::new(
                    StatusCode::LOOP_DETECTED,
                    "proxy_loop_detected",
                )));
            }
            Some(Loop::TooManyHops) => {
                return Err(Box::new(Refusal::new(StatusCode::LOOP_DETECTED, "too_many_hops")));
            }
        }
        if let Some(answer) = count_down(request)? {
            return Ok(Some(answer));
        }
        self.set_target(request, form)?;

        let fields = request.headers_mut();
        fields.reserve(8);
        fields::remove_hop_by_hop(fields);
        if version >= Version::HTTP_2 {
            join_cookies(fields);
        }
        if seen.expect && !expects_continue {
            fields.remove(EXPECT);
        }
        self.via.append(fields, version);
        *request.version_mut() = Version::HTTP_11;
        Ok(None)
    }

    fn form<B>(&self, request: &Request<B>) -> TargetForm {
        let target = request.uri();
        if request.method() == Method::CONNECT {
            TargetForm::Authority
        } else if target.path() == "*" {
            TargetForm::Asterisk
        } else if target.authority().is_none() {
            TargetForm::Origin
        } else if request.version() >= Version::HTTP_2 && self.role == Role::Gateway {
            // HTTP/2 has no forms: `:authority` stands in for `Host`.
            TargetForm::Origin
        } else {
            TargetForm::Absolute
        }
    }

    fn check_form(&self, method: &Method, form: TargetForm) -> Result<(), Box<Refusal>> {
        match (self.role, form) {
            (Role::Gateway, TargetForm::Authority) => Err(Box::new(
                Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "connect_on_gateway")
                    .field(ALLOW, HeaderValue::from_static(METHODS))
                    .close(),
            )),
            (Role::Forward, TargetForm::Origin) => Err(bad("origin_form_on_forward_listener")),
            (_, TargetForm::Asterisk) if method != Method::OPTIONS => Err(bad("asterisk_form")),
            (Role::Forward, TargetForm::Asterisk) => Err(bad("origin_form_on_forward_listener")),
            _ => Ok(()),
        }
    }

    /// Normal path; origin-form in the gateway role.
    fn set_target<B>(
        &self,
        request: &mut Request<B>,
        form: TargetForm,
    ) -> Result<(), Box<Refusal>> {
        if form == TargetForm::Authority {
            return Ok(());
        }
        if form == TargetForm::Asterisk || request.extensions().get::<AsteriskTarget>().is_some() {
            if self.role == Role::Gateway {
                *request.uri_mut() = Uri::from_static("*");
            }
            return Ok(());
        }
        let target = request.uri();
        let path = target.path();
        let normal = self.path.normalise(path).map_err(|fault| bad(fault.token()))?;
        let rewritten = match (&normal, target.query()) {
            (std::borrow::Cow::Borrowed(_), _) => None,
            (std::borrow::Cow::Owned(path), None) => Some(Bytes::copy_from_slice(path.as_bytes())),
            (std::borrow::Cow::Owned(path), Some(query)) => {
                Some(Bytes::from([path.as_bytes(), b"?", query.as_bytes()].concat()))
            }
        };
        let strip_authority = self.role == Role::Gateway && target.authority().is_some();
        if rewritten.is_none() && !strip_authority {
            return Ok(());
        }
        let mut parts = request.uri().clone().into_parts();
        if let Some(bytes) = rewritten {
            let path = PathAndQuery::from_maybe_shared(bytes).map_err(|_| bad("target"))?;
            parts.path_and_query = Some(path);
        }
        if strip_authority {
            (parts.scheme, parts.authority) = (None, None);
            parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
        }
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| bad("target"))?;
        Ok(())
    }
}

/// HTTP/2 splits `Cookie` for compression; behind us it is one line (RFC 9113 section 8.2.3).
fn join_cookies(fields: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = fields.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(joined) = HeaderValue::from_maybe_shared(Bytes::from(crumbs.join(&b"; "[..])))
    {
        fields.insert(COOKIE, joined);
    }
}

/// RFC 9112 section 6: for servers whose edge did not check, and for HTTP/2.
fn check_lengths(fields: &HeaderMap) -> Result<(), Box<Refusal>> {
    let coded = fields.contains_key(TRANSFER_ENCODING);
    if coded {
        let mut codings = fields.get_all(TRANSFER_ENCODING).iter();
        let chunked = codings.next().is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !chunked || codings.next().is_some() {
            return Err(bad("transfer_encoding"));
        }
    }
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        let digits = length.as_bytes();
        let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        if !plain || lengths.next().is_some() {
            return Err(bad("content_length"));
        }
        if coded {
            return Err(bad("content_length_and_transfer_encoding"));
        }
    }
    Ok(())
}

/// One valid `Host`, equal to the authority of the target where that has one
/// (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
fn set_host<B>(
    request: &mut Request<B>,
    form: TargetForm,
    is_inside: bool,
) -> Result<(), Box<Refusal>> {
    let version = request.version();
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("host_repeated"));
    }
    match host {
        None if version == Version::HTTP_11 => return Err(bad("host_missing")),
        // RFC 9113 section 8.3.1: `:authority` or `Host`.
        None if version >= Version::HTTP_2 && request.uri().authority().is_none() => {
            return Err(bad("host_missing"));
        }
        Some(host) => {
            let text = host.to_str().map_err(|_| bad("host"))?;
            // Empty is what a client sends whose target has no authority; one that we replace
            // may be empty too (RFC 9112 section 3.2).
            let replaced = matches!(form, TargetForm::Absolute | TargetForm::Authority);
            if !(text.is_empty() && replaced) && Authority::parse(text).is_none() {
                return Err(bad("host"));
            }
        }
        None => {}
    }
    let Some(authority) = request.uri().authority() else {
        // A colon without a port is allowed and means nothing: it goes no further.
        if let Some(bare) = host.and_then(|h| h.to_str().ok()?.strip_suffix(':')) {
            let bare = HeaderValue::from_str(bare).map_err(|_| bad("host"))?;
            request.headers_mut().insert(HOST, bare);
        }
        return Ok(());
    };
    let checked = Authority::parse(authority.as_str()).ok_or_else(|| bad("target"))?;
    if form == TargetForm::Authority && checked.port.is_none() {
        return Err(bad("connect_without_port"));
    }
    // What a client wants encrypted never goes out in the clear: it must ask by CONNECT. A
    // gateway is told by HTTP/2 which scheme the client speaks to it, and inside of a tunnel it is
    // encrypted on both sides.
    let may_be = form == TargetForm::Origin || is_inside;
    let https = may_be && request.uri().scheme() == Some(&Scheme::HTTPS);
    let asks = form != TargetForm::Authority;
    if asks && !https && request.uri().scheme() != Some(&Scheme::HTTP) {
        return Err(bad("scheme"));
    }
    match host {
        Some(host) if host.as_bytes() == authority.as_str().as_bytes() => Ok(()),
        Some(host)
            if version >= Version::HTTP_2
                && !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err(bad("host_differs"))
        }
        _ => {
            let bare = authority.as_str().trim_end_matches(':');
            let value = HeaderValue::from_str(bare).map_err(|_| bad("target"))?;
            request.headers_mut().insert(HOST, value);
            Ok(())
        }
    }
}

/// Over TLS `Host` must be one that the handshake was for: a certificate or a client's identity
/// asked for one name says nothing about another.
fn check_server_name<B>(request: &Request<B>) -> Result<(), Box<Refusal>> {
    let Some(exchange) = Exchange::of(request) else { return Ok(()) };
    let Some(tls) = &exchange.connection().tls else { return Ok(()) };
    let host = request.headers().get(HOST).and_then(|host| Authority::parse(host.to_str().ok()?));
    // Only HTTP/1.0 may come without one.
    let agrees = host.is_none_or(|host| tls.answers_for(host.host, request.version()));
    match agrees {
        true => Ok(()),
        false => Err(Box::new(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "server_name"))),
    }
}

/// A request inside of an intercepted tunnel is for the origin server that CONNECT named, and for no
/// other: that one was judged. It gets the absolute form that the forward role works with.
fn enter_tunnel<B>(request: &mut Request<B>, parent: &ParentTunnel) -> Result<(), Box<Refusal>> {
    if *request.method() == Method::CONNECT {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "connect_in_tunnel");
        return Err(Box::new(refusal.field(ALLOW, HeaderValue::from_static(METHODS)).close()));
    }
    let target = request.uri();
    if target.authority().is_some() && target.scheme() != Some(&Scheme::HTTPS) {
        return Err(bad("scheme"));
    }
    let hosts = request.headers().get_all(HOST).iter().map(HeaderValue::to_str);
    for named in hosts.chain(target.authority().map(|own| Ok(own.as_str()))) {
        let named = Authority::parse(named.map_err(|_| bad("host"))?).ok_or_else(|| bad("host"))?;
        let host = named.host.trim_start_matches('[').trim_end_matches(']');
        let host = host.strip_suffix('.').unwrap_or(host);
        if !host.eq_ignore_ascii_case(&parent.host) || named.port.unwrap_or(443) != parent.port {
            let status = StatusCode::MISDIRECTED_REQUEST;
            return Err(Box::new(Refusal::new(status, "host_of_tunnel")));
        }
    }
    if target.authority().is_some() {
        return Ok(());
    }
    let is_asterisk = target.path() == "*";
    let mut parts = target.clone().into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = Some(parent.authority().parse().map_err(|_| bad("target"))?);
    if is_asterisk {
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
    }
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| bad("target"))?;
    if is_asterisk {
        if *request.method() != Method::OPTIONS {
            return Err(bad("asterisk_form"));
        }
        request.extensions_mut().insert(AsteriskTarget);
    }
    Ok(())
}

/// RFC 9110 section 10.1.1: `100-continue` is the only expectation there is; HTTP/1.0 has none.
fn expects_continue(fields: &HeaderMap, version: Version) -> Result<bool, Box<Refusal>> {
    let mut values = fields.get_all(EXPECT).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(_), _) if version < Version::HTTP_11 => Ok(false),
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        (Some(_), _) => {
            Err(Box::new(Refusal::new(StatusCode::EXPECTATION_FAILED, "expectation").close()))
        }
    }
}

/// An upgrade may be ignored (RFC 9110 section 7.8); who wants nothing but WebSocket is told no.
fn check_upgrade(fields: &HeaderMap) -> Result<(), Box<Refusal>> {
    if !fields.contains_key(UPGRADE) {
        return Ok(());
    }
    let mut protocols = fields::list(fields, &UPGRADE);
    let websocket = protocols.next().is_some_and(|p| p.eq_ignore_ascii_case("websocket"));
    if websocket && protocols.next().is_none() {
        return Err(Box::new(Refusal::new(StatusCode::NOT_IMPLEMENTED, "websocket")));
    }
    Ok(())
}

/// `Max-Forwards` (RFC 9110 section 7.6.2), for TRACE and OPTIONS.
fn count_down<B>(request: &mut Request<B>) -> Result<Option<Box<Response<Bytes>>>, Box<Refusal>> {
    if request.method() != Method::TRACE && request.method() != Method::OPTIONS {
        return Ok(None);
    }
    if request.method() == Method::TRACE
        && (request.headers().contains_key(TRANSFER_ENCODING)
            || request.headers().get(CONTENT_LENGTH).is_some_and(|l| l != "0"))
    {
        return Err(bad("trace_with_content"));
    }
    let Some(value) = request.headers().get(MAX_FORWARDS) else { return Ok(None) };
    let left: u64 = value
        .to_str()
        .ok()
        .filter(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()))
        .map(|v| v.parse().unwrap_or(u64::MAX))
        .ok_or_else(|| bad("max_forwards"))?;
    if left > 0 {
        request.headers_mut().insert(MAX_FORWARDS, HeaderValue::from(left - 1));
        return Ok(None);
    }
    let mut answer = Response::new(Bytes::new());
    if request.method() == Method::TRACE {
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("message/http"));
        *answer.body_mut() = echo(request);
    } else {
        answer.headers_mut().insert(
            ALLOW,
            HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, TRACE"),
        );
    }
    Ok(Some(Box::new(answer)))
}

/// The request as received, without what identifies its sender (RFC 9110 section 9.3.8).
fn echo<B>(request: &Request<B>) -> Bytes {
    use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
    let mut out =
        format!("{} {} {:?}\r\n", request.method(), request.uri(), request.version()).into_bytes();
    for (name, value) in request.headers() {
        if [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name) {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Bytes::from(out)
}
