//! A strict parser of HTTP/1 messages (RFC 9112) that shares no code with the proxy: the judge of
//! what an origin received and of what a client was sent.
//!
//! It forgives nothing: what two parsers could read in two ways is invalid here.

/// What a parser made of a prefix: a value and the bytes it took, nothing yet, or the reason why
/// these bytes can never become a valid message.
pub type Step<T> = Result<Option<(T, usize)>, String>;

/// The fields of one section, in their order, as latin-1 text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The values of all fields with that name, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The value of the field, if there is exactly one such field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Whether a field with that name exists.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// Whether the field's comma-separated list has that member, whatever its case.
    #[must_use]
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.all(name)
            .iter()
            .flat_map(|value| value.split(','))
            .any(|one| one.trim().eq_ignore_ascii_case(member))
    }
}

/// The start line and the fields of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: String,
    /// The target, as sent.
    pub target: String,
    /// The minor version of HTTP/1.
    pub minor: u8,
    /// The fields.
    pub fields: Fields,
}

/// A complete request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its start line and fields.
    pub head: RequestHead,
    /// Its content, without the chunks.
    pub content: Vec<u8>,
    /// Its trailer section.
    pub trailers: Fields,
}

impl Request {
    /// Method and target in one line, for lists of what was seen.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.head.method, self.head.target)
    }

    /// The value of the field, if there is exactly one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.fields.get(name)
    }
}

/// The status line and the fields of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The minor version of HTTP/1.
    pub minor: u8,
    /// The status code.
    pub status: u16,
    /// The fields.
    pub fields: Fields,
}

/// How the content of a message is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Everything until the connection closes (responses only).
    UntilClose,
}

/// Bytes as latin-1 text: one character a byte, nothing lost.
#[must_use]
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// Latin-1 text as bytes; panics on a character above U+00FF.
#[must_use]
pub fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("latin-1 text")).collect()
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// One line without its CRLF.
fn read_line(input: &[u8]) -> Step<&[u8]> {
    match input.iter().position(|&b| b == b'\n') {
        Some(0) => Err("a bare LF".into()),
        Some(end) if input[end - 1] != b'\r' => Err("a bare LF".into()),
        Some(end) if input[..end - 1].contains(&b'\r') => Err("a bare CR".into()),
        Some(end) => Ok(Some((&input[..end - 1], end + 1))),
        None => match input.iter().position(|&b| b == b'\r') {
            Some(at) if at + 1 < input.len() => Err("a bare CR".into()),
            _ => Ok(None),
        },
    }
}

/// A field section up to and with its empty line.
pub fn read_fields(input: &[u8]) -> Step<Fields> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let Some((line, used)) = read_line(&input[at..])? else {
            return Ok(None);
        };
        at += used;
        if line.is_empty() {
            return Ok(Some((Fields(fields), at)));
        }
        if line[0] == b' ' || line[0] == b'\t' {
            return Err("a folded field line".into());
        }
        let Some(colon) = line.iter().position(|&b| b == b':') else {
            return Err(format!("a field line without a colon: {:?}", latin1(line)));
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if !is_token(name) {
            return Err(format!("not a field name: {:?}", latin1(name)));
        }
        if value.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f) {
            return Err(format!("a control byte in the field {:?}", latin1(name)));
        }
        let value = latin1(value);
        fields.push((latin1(name), value.trim_matches([' ', '\t']).to_owned()));
    }
}

/// A chunked body with its trailer section. Chunk extensions are invalid here: nothing that our
/// tests talk through may pass them on.
pub fn read_chunked(input: &[u8]) -> Step<(Vec<u8>, Fields)> {
    let mut content = Vec::new();
    let mut at = 0;
    loop {
        let Some((line, used)) = read_line(&input[at..])? else {
            return Ok(None);
        };
        if line.is_empty() || line.len() > 16 || !line.iter().all(u8::is_ascii_hexdigit) {
            return Err(format!("not a chunk size: {:?}", latin1(line)));
        }
        at += used;
        let size = u64::from_str_radix(&latin1(line), 16).map_err(|e| e.to_string())?;
        if size == 0 {
            let Some((trailers, used)) = read_fields(&input[at..])? else {
                return Ok(None);
            };
            return Ok(Some(((content, trailers), at + used)));
        }
        let size = usize::try_from(size).map_err(|e| e.to_string())?;
        let Some(end) = at.checked_add(size).filter(|end| end + 2 <= input.len()) else {
            return Ok(None);
        };
        content.extend_from_slice(&input[at..end]);
        if &input[end..end + 2] != b"\r\n" {
            return Err("a chunk longer than its size".into());
        }
        at = end + 2;
    }
}

/// The content of chunks that arrived so far, complete or not; for messages that end early.
#[must_use]
pub fn chunks_so_far(input: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut at = 0;
    while let Ok(Some((line, used))) = read_line(&input[at..]) {
        at += used;
        let size = usize::from_str_radix(&latin1(line), 16).unwrap_or(0);
        let end = at.saturating_add(size).min(input.len());
        content.extend_from_slice(&input[at..end]);
        at = (end + 2).min(input.len());
        if size == 0 {
            break;
        }
    }
    content
}

fn read_version(text: &[u8]) -> Result<u8, String> {
    match text {
        b"HTTP/1.1" => Ok(1),
        b"HTTP/1.0" => Ok(0),
        other => Err(format!("not a version: {:?}", latin1(other))),
    }
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((inside, after)) if inside.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", after),
            _ => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port_is_fine = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%".contains(&b);
    let escapes_are_fine = host
        .split('%')
        .skip(1)
        .all(|after| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit()));
    !host.is_empty() && host.bytes().all(known) && escapes_are_fine && port_is_fine
}

fn check_target(method: &str, target: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("{why}: {target:?}"));
    if target.bytes().any(|b| !(0x21..0x7f).contains(&b)) {
        return wrong("a byte that no target has");
    }
    if target.contains('#') {
        return wrong("a fragment in the target");
    }
    if method == "CONNECT" {
        return match target.rsplit_once(':') {
            Some((_, port)) if is_authority(target) && port.parse::<u16>().is_ok() => Ok(()),
            _ => wrong("not in authority-form"),
        };
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok(());
    }
    let authority = target.strip_prefix("http://").and_then(|rest| rest.split(['/', '?']).next());
    match authority {
        Some(authority) if is_authority(authority) => Ok(()),
        _ => wrong("not a request target"),
    }
}

/// The start line and the fields of a request, with its framing.
pub fn read_request_head(input: &[u8]) -> Step<(RequestHead, Framing)> {
    let Some((line, used)) = read_line(input)? else {
        return Ok(None);
    };
    let parts: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
    let [method, target, version] = parts[..] else {
        return Err(format!("not a request line: {:?}", latin1(line)));
    };
    if !is_token(method) {
        return Err(format!("not a method: {:?}", latin1(method)));
    }
    let (method, target, minor) = (latin1(method), latin1(target), read_version(version)?);
    check_target(&method, &target)?;
    let Some((fields, more)) = read_fields(&input[used..])? else {
        return Ok(None);
    };
    match fields.all("host")[..] {
        [] if minor == 0 => {}
        [host] if is_authority(host) => {}
        ref hosts => return Err(format!("Host: {hosts:?}")),
    }
    let framing = match read_framing(&fields, minor)? {
        Framing::UntilClose => Framing::None,
        known => known,
    };
    Ok(Some(((RequestHead { method, target, minor, fields }, framing), used + more)))
}

/// A complete request.
pub fn read_request(input: &[u8]) -> Step<Request> {
    let Some(((head, framing), used)) = read_request_head(input)? else {
        return Ok(None);
    };
    let rest = &input[used..];
    let (content, trailers, more) = match framing {
        Framing::None | Framing::UntilClose => (Vec::new(), Fields::default(), 0),
        Framing::Length(length) => {
            let length = usize::try_from(length).map_err(|e| e.to_string())?;
            if rest.len() < length {
                return Ok(None);
            }
            (rest[..length].to_vec(), Fields::default(), length)
        }
        Framing::Chunked => match read_chunked(rest)? {
            Some(((content, trailers), more)) => (content, trailers, more),
            None => return Ok(None),
        },
    };
    Ok(Some((Request { head, content, trailers }, used + more)))
}

/// The status line and the fields of a response.
pub fn read_response_head(input: &[u8]) -> Step<ResponseHead> {
    let Some((line, used)) = read_line(input)? else {
        return Ok(None);
    };
    let wrong = || format!("not a status line: {:?}", latin1(line));
    if line.len() < 12 || line[8] != b' ' || line.get(12).is_some_and(|&b| b != b' ') {
        return Err(wrong());
    }
    let minor = read_version(&line[..8])?;
    if !line[9..12].iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    let status: u16 = latin1(&line[9..12]).parse().map_err(|_| wrong())?;
    if !(100..600).contains(&status) || line.iter().any(|&b| b < 0x20 || b == 0x7f) {
        return Err(wrong());
    }
    let Some((fields, more)) = read_fields(&input[used..])? else {
        return Ok(None);
    };
    Ok(Some((ResponseHead { minor, status, fields }, used + more)))
}

/// How the content of the response to `method` is delimited.
pub fn response_framing(method: &str, head: &ResponseHead) -> Result<Framing, String> {
    let framing = read_framing(&head.fields, head.minor)?;
    let empty = method == "HEAD" || head.status < 200 || matches!(head.status, 204 | 304);
    if head.status < 200 && framing != Framing::UntilClose {
        return Err(format!("{} with {framing:?}", head.status));
    }
    if method == "CONNECT" && (200..300).contains(&head.status) {
        return match framing {
            Framing::UntilClose => Ok(Framing::None),
            other => Err(format!("a 2xx answer to CONNECT with {other:?}")),
        };
    }
    Ok(if empty { Framing::None } else { framing })
}

fn read_framing(fields: &Fields, minor: u8) -> Result<Framing, String> {
    let (length, coding) = (fields.all("content-length"), fields.all("transfer-encoding"));
    match (&length[..], &coding[..]) {
        ([], []) => Ok(Framing::UntilClose),
        ([length], []) => {
            if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!("Content-Length: {length:?}"));
            }
            length.parse().map(Framing::Length).map_err(|e| e.to_string())
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") && minor == 1 => {
            Ok(Framing::Chunked)
        }
        (length, coding) => Err(format!(
            "Content-Length: {length:?}, Transfer-Encoding: {coding:?}, HTTP/1.{minor}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(raw: &str) -> Request {
        let (request, used) = read_request(raw.as_bytes()).expect("valid").expect("complete");
        assert_eq!(used, raw.len());
        request
    }

    #[test]
    fn reads_valid_requests() {
        let plain = one("GET /a?b HTTP/1.1\r\nHost: a.test\r\nX:  y \r\n\r\n");
        assert_eq!(plain.line(), "GET /a?b");
        assert_eq!(plain.field("x"), Some("y"));
        let sized = one("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(sized.content, b"abc");
        let chunked = one("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n");
        assert_eq!(chunked.content, b"abc0123456789");
        assert_eq!(chunked.trailers.get("t"), Some("v"));
    }

    #[test]
    fn every_prefix_of_a_valid_request_is_incomplete() {
        let raw = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        for end in 0..raw.len() {
            assert_eq!(read_request(&raw[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        for raw in [
            "GET / HTTP/1.1\n",
            "GET / HTTP/1.1\rX",
            "GET  / HTTP/1.1\r\n",
            "GET /#a HTTP/1.1\r\n",
            "GET / HTTP/1.2\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naa\r\n",
        ] {
            assert!(read_request(raw.as_bytes()).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn reads_responses() {
        let (head, _) = read_response_head(b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n")
            .expect("valid")
            .expect("complete");
        assert_eq!((head.status, head.fields.get("a")), (204, Some("b")));
        assert_eq!(response_framing("GET", &head), Ok(Framing::None));
        assert!(read_response_head(b"HTTP/1.1 20 OK\r\n\r\n").is_err());
        assert!(read_response_head(b"HTTP/2.0 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn content_so_far_of_broken_chunks() {
        assert_eq!(chunks_so_far(b"3\r\nabc\r\n5\r\nde"), b"abcde");
    }
}
