//! Field sections of requests, held to RFC 9114 sections 4.2 and 4.3.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use proxy_core::Fault;
use proxy_core::framing::{judge_target, sanitise_target};

use super::qpack::Field;

/// Why a section makes no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is malformed (section 4.1.2): H3_MESSAGE_ERROR. The word says how.
    Malformed(&'static str),
    /// It is well formed, and refused as it would be in HTTP/1.1.
    Fault(Fault),
}

/// The word for pseudo fields against section 4.3.
const PSEUDO: &str = "pseudo_field";

/// Pseudo fields of a request, as they came.
#[derive(Default)]
struct Pseudo {
    method: Option<Bytes>,
    scheme: Option<Bytes>,
    authority: Option<Bytes>,
    path: Option<Bytes>,
}

/// A request, and the length of the content that it announces.
pub(super) fn request(section: Vec<Field>) -> Result<(Parts, Option<u64>), Refused> {
    let mut pseudo = Pseudo::default();
    let mut fields = HeaderMap::with_capacity(section.len().min(64));
    for Field { name, value } in section {
        if name.first() != Some(&b':') {
            add(&mut fields, &name, value)?;
            continue;
        }
        let place = match &name[..] {
            b":method" => &mut pseudo.method,
            b":scheme" => &mut pseudo.scheme,
            b":authority" => &mut pseudo.authority,
            b":path" => &mut pseudo.path,
            _ => return Err(Refused::Malformed(PSEUDO)),
        };
        // Each stands once, in front of the fields.
        if !fields.is_empty() || place.replace(value).is_some() {
            return Err(Refused::Malformed(PSEUDO));
        }
    }
    let length = content_length(&fields)?;
    let (method, uri) = pseudo.target(&fields)?;
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = method;
    head.uri = uri;
    head.version = Version::HTTP_3;
    head.headers = fields;
    Ok((head, length))
}

/// A trailer section: it has no pseudo fields.
pub(super) fn trailers(section: Vec<Field>) -> Result<HeaderMap, Refused> {
    let mut fields = HeaderMap::with_capacity(section.len().min(64));
    for Field { name, value } in section {
        if name.first() == Some(&b':') {
            return Err(Refused::Malformed(PSEUDO));
        }
        add(&mut fields, &name, value)?;
    }
    Ok(fields)
}

/// Section 4.2: names in lower case, values without control bytes, no fields of a connection.
fn add(fields: &mut HeaderMap, name: &[u8], value: Bytes) -> Result<(), Refused> {
    let name = HeaderName::from_lowercase(name).map_err(|_| Refused::Malformed("field_name"))?;
    match name.as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => {
            return Err(Refused::Malformed("connection_field"));
        }
        "te" if !value.eq_ignore_ascii_case(b"trailers") => {
            return Err(Refused::Malformed("connection_field"));
        }
        _ => {}
    }
    let value =
        HeaderValue::from_maybe_shared(value).map_err(|_| Refused::Malformed("field_value"))?;
    // More than the map can hold.
    fields.try_append(name, value).map_err(|_| Refused::Fault(Fault::TooManyFields))?;
    Ok(())
}

fn content_length(fields: &HeaderMap) -> Result<Option<u64>, Refused> {
    let mut lines = fields.get_all(CONTENT_LENGTH).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let digits = line.as_bytes();
    let length = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u64>().ok());
    match length {
        // The largest mean something else to some parsers.
        Some(length @ 0..0xffff_ffff_ffff_fffd)
            if lines.next().is_none() && digits.iter().all(u8::is_ascii_digit) =>
        {
            Ok(Some(length))
        }
        _ => Err(Refused::Malformed("content_length")),
    }
}

impl Pseudo {
    /// Method and target (section 4.3.1, section 4.4 for CONNECT).
    fn target(self, fields: &HeaderMap) -> Result<(Method, Uri), Refused> {
        let malformed = Refused::Malformed(PSEUDO);
        let method = self.method.as_deref().ok_or(malformed)?;
        let method = Method::from_bytes(method).map_err(|_| Refused::Malformed("method"))?;
        let authority = self.authority.map(authority).transpose()?;
        agrees(authority.as_ref(), fields)?;
        let mut parts = http::uri::Parts::default();
        if method == Method::CONNECT {
            let authority = authority.ok_or(malformed)?;
            if self.scheme.is_some() || self.path.is_some() {
                return Err(malformed);
            }
            parts.authority = Some(authority);
            let uri = Uri::from_parts(parts).map_err(|_| Refused::Fault(Fault::Target))?;
            return Ok((method, uri));
        }
        let scheme = self.scheme.ok_or(malformed)?;
        let path = self.path.ok_or(malformed)?;
        // An empty one would pass as none.
        let scheme = Some(&scheme[..]).filter(|scheme| !scheme.is_empty());
        let scheme = scheme.and_then(|scheme| Scheme::try_from(scheme).ok());
        let scheme = scheme.ok_or(Refused::Malformed("scheme"))?;
        parts.path_and_query = Some(match &path[..] {
            b"*" if method == Method::OPTIONS => PathAndQuery::from_static("*"),
            [b'/', ..] => {
                let clean = sanitise_target(&path);
                judge_target(&clean).map_err(Refused::Fault)?;
                let clean = match clean {
                    std::borrow::Cow::Borrowed(_) => path.clone(),
                    std::borrow::Cow::Owned(clean) => clean.into(),
                };
                let path = PathAndQuery::from_maybe_shared(clean);
                path.map_err(|_| Refused::Fault(Fault::Target))?
            }
            _ => return Err(Refused::Malformed("path")),
        });
        // Without an authority `Host` says it, and a URI has no scheme either.
        if authority.is_some() {
            parts.scheme = Some(scheme);
            parts.authority = authority;
        }
        let uri = Uri::from_parts(parts).map_err(|_| Refused::Fault(Fault::Target))?;
        Ok((method, uri))
    }
}

/// `:authority` is not empty and has no userinfo.
fn authority(value: Bytes) -> Result<Authority, Refused> {
    let malformed = Refused::Malformed("authority");
    if value.is_empty() || value.contains(&b'@') {
        return Err(malformed);
    }
    Authority::from_maybe_shared(value).map_err(|_| malformed)
}

/// One of `:authority` and `Host` stands there, once; where both do they say the same.
fn agrees(authority: Option<&Authority>, fields: &HeaderMap) -> Result<(), Refused> {
    let mut hosts = fields.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    let agree = match (authority, host) {
        (None, None) => false,
        (None, Some(host)) => !host.is_empty(),
        (Some(_), None) => true,
        (Some(authority), Some(host)) => {
            host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
        }
    };
    if agree && more.is_none() { Ok(()) } else { Err(Refused::Malformed("authority")) }
}
