//! Whole heads as requests and responses, without being read a second time.

use bytes::Bytes;
use http::header;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};

use super::{Fault, MessageFramer, fields, sanitise_target};

/// The reason phrase of a response, where it is not the usual one: in the response's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonPhrase(pub Bytes);

/// Where method, target, reason and fields stand in a head.
#[derive(Clone, Debug, Default)]
pub(super) struct HeadSpans {
    /// Bytes before the head, which no span counts.
    skip: usize,
    /// The method, or the status code.
    first: Span,
    /// The target, or the reason phrase.
    second: Span,
    version_10: bool,
    fields: Vec<FieldSpan>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

#[derive(Clone, Copy, Debug)]
struct FieldSpan {
    name: Span,
    value: Span,
}

impl Span {
    /// A head is far smaller than 4 GiB: `MessageFramer` refuses it long before.
    fn new(start: usize, len: usize) -> Self {
        Self { start: start as u32, end: (start + len) as u32 }
    }

    const fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl HeadSpans {
    /// Forgets the head before.
    pub(super) fn begin(&mut self, skip: usize) {
        self.skip = skip;
        self.fields.clear();
    }

    /// `line` is sound: `method SP target SP version`.
    pub(super) fn set_request_line(&mut self, line: &[u8]) {
        let method = memchr::memchr(b' ', line).unwrap_or(line.len());
        let target = line.len() - " HTTP/1.1".len();
        self.first = Span::new(0, method);
        self.second = Span::new(method + 1, target.saturating_sub(method + 1));
        self.version_10 = line.ends_with(b"0");
    }

    /// `line` is sound: `version SP status [ SP reason ]`.
    pub(super) fn set_status_line(&mut self, line: &[u8]) {
        self.first = Span::new(9, 3);
        let reason = "HTTP/1.1 200 ".len().min(line.len());
        self.second = Span::new(reason, line.len() - reason);
        self.version_10 = line.get(7) == Some(&b'0');
    }

    /// `line`, which is sound, stands at `start`; its name is `name` long.
    #[inline]
    pub(super) fn add_field(&mut self, start: usize, line: &[u8], name: usize) {
        let start = start - self.skip;
        // Without optional whitespace (RFC 9110 section 5.6.3), of which there is mostly one.
        let (mut from, mut to) = (name + 1, line.len());
        while from < to && matches!(line[from], b' ' | b'\t') {
            from += 1;
        }
        while from < to && matches!(line[to - 1], b' ' | b'\t') {
            to -= 1;
        }
        let value = Span::new(start + from, to - from);
        self.fields.push(FieldSpan { name: Span::new(start, name), value });
    }

    fn version(&self) -> Version {
        if self.version_10 { Version::HTTP_10 } else { Version::HTTP_11 }
    }

    fn fields(&self, head: &Bytes, room: usize) -> Result<HeaderMap, Fault> {
        let mut map = HeaderMap::try_with_capacity(self.fields.len() + room)
            .map_err(|_| Fault::TooManyFields)?;
        for field in &self.fields {
            let name = &head[field.name.range()];
            let name = match usual_name(name) {
                Some(name) => name,
                None => HeaderName::from_bytes(name).map_err(|_| Fault::FieldName)?,
            };
            let value = HeaderValue::from_maybe_shared(head.slice(field.value.range()))
                .map_err(|_| Fault::FieldValue)?;
            map.try_append(name, value).map_err(|_| Fault::TooManyFields)?;
        }
        Ok(map)
    }
}

/// Names as most senders write them, without the work of bringing them to lower case and looking
/// them up.
fn usual_name(name: &[u8]) -> Option<HeaderName> {
    Some(match name {
        b"Accept" | b"accept" => header::ACCEPT,
        b"Accept-Encoding" | b"accept-encoding" => header::ACCEPT_ENCODING,
        b"Accept-Language" | b"accept-language" => header::ACCEPT_LANGUAGE,
        b"Accept-Ranges" | b"accept-ranges" => header::ACCEPT_RANGES,
        b"Age" | b"age" => header::AGE,
        b"Authorization" | b"authorization" => header::AUTHORIZATION,
        b"Cache-Control" | b"cache-control" => header::CACHE_CONTROL,
        b"Connection" | b"connection" => header::CONNECTION,
        b"Content-Encoding" | b"content-encoding" => header::CONTENT_ENCODING,
        b"Content-Length" | b"content-length" => header::CONTENT_LENGTH,
        b"Content-Type" | b"content-type" => header::CONTENT_TYPE,
        b"Cookie" | b"cookie" => header::COOKIE,
        b"Date" | b"date" => header::DATE,
        b"ETag" | b"etag" => header::ETAG,
        b"Expires" | b"expires" => header::EXPIRES,
        b"Host" | b"host" => header::HOST,
        b"If-Modified-Since" | b"if-modified-since" => header::IF_MODIFIED_SINCE,
        b"If-None-Match" | b"if-none-match" => header::IF_NONE_MATCH,
        b"Last-Modified" | b"last-modified" => header::LAST_MODIFIED,
        b"Location" | b"location" => header::LOCATION,
        b"Referer" | b"referer" => header::REFERER,
        b"Server" | b"server" => header::SERVER,
        b"Set-Cookie" | b"set-cookie" => header::SET_COOKIE,
        b"Transfer-Encoding" | b"transfer-encoding" => header::TRANSFER_ENCODING,
        b"User-Agent" | b"user-agent" => header::USER_AGENT,
        b"Vary" | b"vary" => header::VARY,
        b"Via" | b"via" => header::VIA,
        _ => return None,
    })
}

impl MessageFramer {
    /// The request whose head [`scan_request`](Self::scan_request) has just called complete.
    /// `head`: its bytes, `skip` left out, `len` of them. Values and target are slices of it.
    /// `room`: fields that will be added.
    ///
    /// # Errors
    /// Nothing that the scan has passed fails here, but for a number of fields that no map holds.
    pub fn request(&self, head: &Bytes, room: usize) -> Result<Request<()>, Fault> {
        let spans = &self.spans;
        let mut request = Request::new(());
        *request.method_mut() =
            Method::from_bytes(&head[spans.first.range()]).map_err(|_| Fault::Method)?;
        let target = head.slice(spans.second.range());
        let target = match sanitise_target(&target) {
            std::borrow::Cow::Borrowed(_) => target,
            std::borrow::Cow::Owned(clean) => Bytes::from(clean),
        };
        *request.uri_mut() = Uri::from_maybe_shared(target).map_err(|_| Fault::Target)?;
        *request.version_mut() = spans.version();
        *request.headers_mut() = spans.fields(head, room)?;
        Ok(request)
    }

    /// The response whose head [`scan_response`](Self::scan_response) has just called complete;
    /// otherwise like [`request`](Self::request).
    ///
    /// # Errors
    /// Nothing that the scan has passed fails here, but for a number of fields that no map holds.
    pub fn response(&self, head: &Bytes, room: usize) -> Result<Response<()>, Fault> {
        let spans = &self.spans;
        let mut response = Response::new(());
        let status =
            StatusCode::from_bytes(&head[spans.first.range()]).map_err(|_| Fault::StatusLine)?;
        *response.status_mut() = status;
        *response.version_mut() = spans.version();
        *response.headers_mut() = spans.fields(head, room)?;
        let reason = &head[spans.second.range()];
        if reason != status.canonical_reason().unwrap_or("").as_bytes() {
            let reason = head.slice(spans.second.range());
            response.extensions_mut().insert(ReasonPhrase(reason));
        }
        Ok(response)
    }
}

/// The fields of a trailer section that a `ContentFramer` has passed, its empty line included.
///
/// # Errors
/// [`Fault::Trailers`] for what no field map holds.
pub fn trailer_fields(section: &Bytes) -> Result<HeaderMap, Fault> {
    let mut trailers = HeaderMap::new();
    let mut start = 0;
    while let Some(len) = memchr::memchr(b'\n', &section[start..]) {
        let line = &section[start..(start + len).saturating_sub(1)];
        if let Some(colon) = memchr::memchr(b':', line) {
            let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| Fault::Trailers)?;
            let value = section.slice_ref(fields::trim(&line[colon + 1..]));
            let value = HeaderValue::from_maybe_shared(value).map_err(|_| Fault::Trailers)?;
            trailers.try_append(name, value).map_err(|_| Fault::Trailers)?;
        }
        start += len + 1;
    }
    Ok(trailers)
}

#[cfg(test)]
mod tests {
    use super::super::{HeadLimits, HeadScan};
    use super::*;

    fn request(input: &str) -> Request<()> {
        let mut framer = MessageFramer::new(HeadLimits::default());
        let Ok(HeadScan::Complete(info)) = framer.scan_request(input.as_bytes()) else {
            panic!("not whole or not sound: {input:?}");
        };
        let head = Bytes::copy_from_slice(input.as_bytes()).slice(info.skip..info.skip + info.len);
        framer.request(&head, 8).expect("sound")
    }

    fn listed(fields: &HeaderMap) -> Vec<(&str, &[u8])> {
        fields.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect()
    }

    #[test]
    fn requests() {
        let input = "\r\nPOST http://a.test/x?y#z HTTP/1.0\r\nHost:a.test\r\n\
            X-A: \t b  c \t\r\nX-Empty:\r\nX-Blank:   \r\nx-a:\u{e9}\r\n\r\nrest";
        let request = request(input);
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri(), "http://a.test/x?y");
        assert_eq!(request.version(), Version::HTTP_10);
        assert_eq!(
            listed(request.headers()),
            [
                ("host", &b"a.test"[..]),
                ("x-a", b"b  c"),
                ("x-a", "\u{e9}".as_bytes()),
                ("x-empty", b""),
                ("x-blank", b""),
            ]
        );
        let capacity = request.headers().capacity();
        assert!(capacity >= 13, "{capacity}");
    }

    #[test]
    fn targets() {
        for target in ["/", "*", "/a%22?b", "http://a.test", "http://[::1]:80/?x"] {
            let method = if target == "*" { "OPTIONS" } else { "GET" };
            assert_eq!(request(&format!("{method} {target} HTTP/1.1\r\n\r\n")).uri(), target);
        }
        assert_eq!(request("GET /a\"b?c=`d`#e HTTP/1.1\r\n\r\n").uri(), "/a%22b?c=%60d%60");
        assert_eq!(request("CONNECT a.test:443 HTTP/1.1\r\n\r\n").uri(), "a.test:443");
    }

    /// A framer is used for one head after the other.
    #[test]
    fn nothing_is_left_of_the_head_before() {
        let mut framer = MessageFramer::new(HeadLimits::default());
        for input in ["GET /1 HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n", "GET /2 HTTP/1.0\r\nE: f\r\n\r\n"]
        {
            let Ok(HeadScan::Complete(_)) = framer.scan_request(input.as_bytes()) else {
                panic!("sound")
            };
            let request =
                framer.request(&Bytes::copy_from_slice(input.as_bytes()), 0).expect("sound");
            assert_eq!(request.uri().path(), input.split(' ').nth(1).expect("target"));
            assert_eq!(request.headers().len(), input.matches(": ").count());
        }
    }

    #[test]
    fn responses() {
        for (input, version, reason) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", Version::HTTP_11, None),
            ("HTTP/1.0 404 Nothing\r\nA: b\r\n\r\n", Version::HTTP_10, Some("Nothing")),
            ("HTTP/1.1 204 \r\nA: b\r\n\r\n", Version::HTTP_11, Some("")),
            ("HTTP/1.1 204\r\nA: b\r\n\r\n", Version::HTTP_11, Some("")),
        ] {
            let mut framer = MessageFramer::new(HeadLimits::default());
            let Ok(HeadScan::Complete(info)) = framer.scan_response(input.as_bytes(), false) else {
                panic!("sound")
            };
            let head = Bytes::copy_from_slice(input.as_bytes());
            let response = framer.response(&head, 0).expect("sound");
            assert_eq!((response.status().as_u16(), response.version()), (info.status, version));
            assert_eq!(listed(response.headers()), [("a", &b"b"[..])]);
            let phrase = response.extensions().get::<ReasonPhrase>().map(|r| &*r.0);
            assert_eq!(phrase, reason.map(str::as_bytes));
        }
    }

    #[test]
    fn what_a_head_says_about_its_connection() {
        for (lines, version, expected) in [
            ("", "1.1", (true, false, false)),
            ("", "1.0", (false, false, false)),
            ("Connection: keep-alive\r\n", "1.0", (true, false, false)),
            ("connection: x, Close\r\nConnection: keep-alive\r\n", "1.1", (false, false, false)),
            ("TE: gzip, Trailers\r\nExpect: 100-Continue\r\n", "1.1", (true, true, true)),
            ("TE: x\r\nExpect: 200\r\n", "1.1", (true, false, false)),
        ] {
            let input = format!("GET / HTTP/{version}\r\n{lines}\r\n");
            let mut framer = MessageFramer::new(HeadLimits::default());
            let Ok(HeadScan::Complete(info)) = framer.scan_request(input.as_bytes()) else {
                panic!("sound")
            };
            let said = (info.keep_alive, info.expects_continue, info.takes_trailers);
            assert_eq!(said, expected, "{input:?}");
        }
    }

    #[test]
    fn usual_names_are_the_same_names() {
        let names = "Accept Accept-Encoding Accept-Language Accept-Ranges Age Authorization \
            Cache-Control Connection Content-Encoding Content-Length Content-Type Cookie Date ETag \
            Expires Host If-Modified-Since If-None-Match Last-Modified Location Referer Server \
            Set-Cookie Transfer-Encoding User-Agent Vary Via";
        for name in names.split(' ') {
            let parsed = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            assert_eq!(usual_name(name.as_bytes()), Some(parsed.clone()));
            assert_eq!(usual_name(parsed.as_str().as_bytes()), Some(parsed));
        }
        assert_eq!(usual_name(b"HOST"), None);
        assert_eq!(usual_name(b"x-host"), None);
    }

    #[test]
    fn trailer_sections() {
        let section = Bytes::from_static(b"X-Sum:  a b \r\nY:\r\nx-sum: c\r\n\r\n");
        let trailers = trailer_fields(&section).expect("sound");
        assert_eq!(listed(&trailers), [("x-sum", &b"a b"[..]), ("x-sum", b"c"), ("y", b"")]);
        assert!(trailer_fields(&Bytes::from_static(b"\r\n")).expect("sound").is_empty());
    }
}
