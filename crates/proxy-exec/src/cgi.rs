//! The fields that the output of a CGI program begins with (RFC 3875 section 6), and the
//! meta-variables of its environment (section 4.1).

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use proxy_core::target::Authority;
use proxy_core::{AddressPrivacy, Exchange};

/// The longest block of fields, in bytes.
const LONGEST: usize = 64 << 10;
/// The most fields. Servers and clients take about as many.
const MOST_FIELDS: usize = 128;

/// Reads the block of fields at the beginning of the output.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    held: BytesMut,
    /// Where the line begins that has not ended, and what of it has been looked at.
    line: usize,
    seen: usize,
}

/// Framing, the connection and what a proxy says of itself are not the program's to write.
const OURS: &[&str] = &[
    "age",
    "cache-status",
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "proxy-status",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// The head of a response, as a program wrote it.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    /// The output that followed it.
    pub(crate) rest: Bytes,
}

/// The output begins with something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadHead;

impl HeadReader {
    /// The head, once it is whole.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Option<Head>, BadHead> {
        self.held.extend_from_slice(bytes);
        while let Some(end) = self.held[self.seen..].iter().position(|byte| *byte == b'\n') {
            let end = self.seen + end;
            let line = &self.held[self.line..end];
            (self.line, self.seen) = (end + 1, end + 1);
            if self.line > LONGEST {
                return Err(BadHead);
            }
            if line.is_empty() || line == b"\r" {
                let block = self.held.split_to(self.line).freeze();
                let rest = std::mem::take(&mut self.held).freeze();
                return read(&block, rest).map(Some);
            }
        }
        self.seen = self.held.len();
        if self.held.len() > LONGEST { Err(BadHead) } else { Ok(None) }
    }
}

fn read(block: &[u8], rest: Bytes) -> Result<Head, BadHead> {
    let mut status = None;
    let mut fields = HeaderMap::new();
    let mut count = 0;
    for line in block.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or(BadHead)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"status") {
            let code = value.get(..3).and_then(|code| StatusCode::from_bytes(code).ok());
            let code = code.filter(|code| !code.is_informational()).ok_or(BadHead)?;
            if status.replace(code).is_some() {
                return Err(BadHead);
            }
            continue;
        }
        let name = HeaderName::from_bytes(name).map_err(|_| BadHead)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| BadHead)?;
        count += 1;
        if count > MOST_FIELDS {
            return Err(BadHead);
        }
        if !OURS.contains(&name.as_str()) {
            fields.append(name, value);
        }
    }
    if fields.is_empty() && status.is_none() {
        return Err(BadHead);
    }
    let found = status.unwrap_or(match fields.contains_key(header::LOCATION) {
        true => StatusCode::FOUND,
        false => StatusCode::OK,
    });
    Ok(Head { status: found, fields, rest })
}

/// The meta-variables of a request. `REMOTE_ADDR` is what `privacy` shows of the client.
pub(crate) fn variables(parts: &Parts, privacy: &AddressPrivacy) -> Vec<(String, String)> {
    let exchange = parts.extensions.get::<Exchange>();
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(Authority::parse);
    let local = exchange.and_then(|exchange| exchange.connection().local);
    let text = |name: &HeaderName| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let mut list: Vec<(String, String)> = vec![
        ("GATEWAY_INTERFACE".to_owned(), "CGI/1.1".to_owned()),
        ("SERVER_PROTOCOL".to_owned(), format!("{:?}", parts.version)),
        ("SERVER_SOFTWARE".to_owned(), "proxyd".to_owned()),
        ("SERVER_NAME".to_owned(), authority.map_or("", |a| a.host).to_owned()),
        (
            "SERVER_PORT".to_owned(),
            local.map_or_else(|| "80".to_owned(), |local| local.port().to_string()),
        ),
        ("REQUEST_METHOD".to_owned(), parts.method.to_string()),
        ("SCRIPT_NAME".to_owned(), parts.uri.path().to_owned()),
        ("PATH_INFO".to_owned(), String::new()),
        ("QUERY_STRING".to_owned(), parts.uri.query().unwrap_or_default().to_owned()),
        ("CONTENT_TYPE".to_owned(), text(&header::CONTENT_TYPE)),
        ("CONTENT_LENGTH".to_owned(), text(&header::CONTENT_LENGTH)),
    ];
    if let Some(exchange) = exchange {
        let view = exchange.client().view(privacy);
        list.push(("REMOTE_ADDR".to_owned(), view.to_string()));
    }
    for name in parts.headers.keys() {
        // `Proxy` would be taken for where programs send their own requests; credentials are the
        // server's (RFC 3875 section 4.1.18).
        let kept_back = [
            "proxy",
            "authorization",
            "proxy-authorization",
            "content-type",
            "content-length",
            "connection",
        ];
        if kept_back.contains(&name.as_str()) || name.as_str().contains('_') {
            continue;
        }
        let values: Vec<&str> =
            parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        let separator = if *name == header::COOKIE { "; " } else { ", " };
        let name = name.as_str().to_ascii_uppercase().replace('-', "_");
        list.push((format!("HTTP_{name}"), values.join(separator)));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_in_any_parts() {
        let whole = b"Content-Type: text/plain\r\nStatus: 404 Not Here\nX: a\n\nrest";
        for cut in 0..whole.len() {
            let mut reader = HeadReader::default();
            let mut head = reader.push(&whole[..cut]).unwrap();
            let mut more = &whole[cut..];
            if head.is_none() {
                head = reader.push(more).unwrap();
                more = b"";
            }
            let head = head.unwrap();
            assert_eq!(head.status, 404);
            assert_eq!(head.fields["content-type"], "text/plain");
            assert_eq!([&head.rest, more].concat(), b"rest", "{cut}");
        }
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for bad in
            ["\n", "no colon\n\n", "Status: 99\n\n", "Status: 101\n\n", "a b: c\n\n", "X: a\0\n\n"]
        {
            assert!(HeadReader::default().push(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(HeadReader::default().push(&vec![b'a'; LONGEST + 1]).is_err());
        // Whole with its first read, and longer all the same; many fields; many short lines.
        let fields = |count: usize| {
            let lines: String = (0..count).map(|n| format!("x{n}:\n")).collect();
            format!("{lines}\n")
        };
        let long = format!("x: {}\n\n", "a".repeat(LONGEST));
        for bad in [long, fields(MOST_FIELDS + 1), fields(40_000)] {
            assert!(HeadReader::default().push(bad.as_bytes()).is_err());
        }
        let head = HeadReader::default().push(fields(MOST_FIELDS).as_bytes()).unwrap().unwrap();
        assert_eq!(head.fields.len(), MOST_FIELDS);
    }

    #[test]
    fn framing_is_not_the_programs() {
        let block =
            b"Content-Type: a/b\nContent-Length: 9\nTransfer-Encoding: x\nConnection: close\n\n";
        let head = HeadReader::default().push(block).unwrap().unwrap();
        assert_eq!(head.fields.len(), 1);
        let head = HeadReader::default().push(b"Location: /x\n\n").unwrap().unwrap();
        assert_eq!(head.status, 302);
    }

    #[test]
    fn no_field_becomes_a_variable_of_another_meaning() {
        let request = http::Request::get("/x?a=b")
            .header("host", "a.test:81")
            .header("proxy", "http://evil")
            .header("authorization", "Basic x")
            .header("x_y", "z")
            .header("x-a", "1")
            .header("x-a", "2");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let list = variables(&parts, &AddressPrivacy::default());
        let find = |name: &str| list.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(find("HTTP_PROXY"), None);
        assert_eq!(find("HTTP_AUTHORIZATION"), None);
        assert_eq!(find("HTTP_X_Y"), None);
        assert_eq!(find("HTTP_X_A"), Some("1, 2"));
        assert_eq!(find("QUERY_STRING"), Some("a=b"));
        assert_eq!(find("SERVER_NAME"), Some("a.test"));
    }
}
