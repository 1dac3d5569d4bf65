//! Cases of a corpus: requests with what they are.

use http::{HeaderName, HeaderValue, Method, Request, Uri};
use proxy_core::framing::{Framing, HeadLimits, HeadScan, MessageFramer, sanitise_target};
use proxy_core::{PathPolicy, RequestHead};
use proxy_filter::inspect::{Engine, Report};
use serde_json::Value;

/// A request and what it is.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) class: String,
    pub(crate) attack: bool,
    pub(crate) request: Parsed,
}

/// A request, or why the edge of the proxy refuses it before anything looks at it.
#[derive(Clone, Debug)]
pub(crate) enum Parsed {
    Request(Box<Request<Vec<u8>>>),
    Refused(String),
}

impl Case {
    /// Reads a line of a corpus: `method`, `target`, `headers`, `body`, or `raw`.
    pub(crate) fn read(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).expect("a case is JSON");
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        let request = match value["raw"].as_str() {
            Some(raw) => parse(&latin1(raw)),
            None => build(
                text("method"),
                text("target").as_bytes(),
                value["headers"].as_array().map_or(&[][..], Vec::as_slice).iter().map(|pair| {
                    let at = |i: usize| pair[i].as_str().unwrap_or_default();
                    (at(0).as_bytes().to_vec(), latin1(at(1)))
                }),
                latin1(text("body")),
            ),
        };
        Self {
            id: text("id").into(),
            class: text("class").into(),
            attack: text("label") == "attack",
            request,
        }
    }

    /// The request as it goes over a connection that closes after it; `None` where the edge refuses
    /// it before.
    pub(crate) fn raw(&self) -> Option<Vec<u8>> {
        let Parsed::Request(request) = &self.request else { return None };
        let target = request.uri().path_and_query().map_or("/", |t| t.as_str());
        let mut raw = format!("{} {target} HTTP/1.1\r\n", request.method()).into_bytes();
        for (name, value) in request.headers() {
            if !matches!(name.as_str(), "connection" | "content-length" | "transfer-encoding") {
                raw.extend_from_slice(format!("{name}: ").as_bytes());
                raw.extend_from_slice(value.as_bytes());
                raw.extend_from_slice(b"\r\n");
            }
        }
        let content = request.body();
        if !content.is_empty() || !request.method().is_safe() {
            raw.extend_from_slice(format!("content-length: {}\r\n", content.len()).as_bytes());
        }
        raw.extend_from_slice(b"connection: close\r\n\r\n");
        raw.extend_from_slice(content);
        Some(raw)
    }

    /// The part of the id that cases of one payload share.
    pub(crate) fn group(&self) -> &str {
        if self.id.starts_with("wb-") {
            return self.id.rsplit_once('-').map_or(&self.id, |(group, _)| group);
        }
        if self.id.starts_with("bn-text-") {
            return self.id.split_once('/').map_or(&self.id, |(group, _)| group);
        }
        self.id.strip_suffix("/q").or_else(|| self.id.strip_suffix("/f")).unwrap_or(&self.id)
    }

    /// Whether the case is held back from whoever writes rules: one of `parts`, by hash.
    pub(crate) fn is_held_back(&self, parts: u64) -> bool {
        hash(self.group()).is_multiple_of(parts)
    }

    /// Whether the proxy refuses the request, and why.
    pub(crate) fn judge(&self, engine: &Engine) -> (bool, Report) {
        match &self.request {
            Parsed::Refused(_) => (true, Report::default()),
            Parsed::Request(request) => engine.judge(RequestHead::of(request), request.body()),
        }
    }
}

/// FNV-1a with a final mix.
pub(crate) fn hash(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, b| {
        (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ fnv >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ mixed >> 33
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

/// Reads a raw request as the edge of the proxy does.
fn parse(raw: &[u8]) -> Parsed {
    let mut framer = MessageFramer::new(HeadLimits::default());
    let info = match framer.scan_request(raw) {
        Ok(HeadScan::Complete(info)) => info,
        Ok(HeadScan::Partial) => return Parsed::Refused("incomplete".into()),
        Err(fault) => return Parsed::Refused(fault.token().into()),
    };
    let head = &raw[info.skip..info.skip + info.len];
    let mut lines = head.split(|&b| b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    let mut line = lines.next().unwrap_or_default().splitn(3, |&b| b == b' ');
    let method = String::from_utf8_lossy(line.next().unwrap_or_default()).into_owned();
    let target = line.next().unwrap_or_default();
    let fields = lines.filter_map(|line| {
        let colon = line.iter().position(|&b| b == b':')?;
        Some((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()))
    });
    let content = &raw[info.skip + info.len..];
    let content = match info.framing {
        Framing::Chunked => unchunk(content),
        Framing::Length(length) => content[..content.len().min(length as usize)].to_vec(),
        _ => Vec::new(),
    };
    build(&method, target, fields, content)
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = rest.iter().position(|&b| b == b'\n') {
        let size = String::from_utf8_lossy(&rest[..end]);
        let size = size.trim().split(';').next().unwrap_or_default();
        let Ok(size) = usize::from_str_radix(size, 16) else { break };
        let data = &rest[end + 1..];
        let size = size.min(data.len());
        if size == 0 {
            break;
        }
        out.extend_from_slice(&data[..size]);
        rest = data[size..].strip_prefix(b"\r\n").unwrap_or(&data[size..]);
    }
    out
}

/// Makes a request, refused where hygiene refuses it.
pub(crate) fn build(
    method: &str,
    target: &[u8],
    fields: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    content: Vec<u8>,
) -> Parsed {
    let refused = |why: &str| Parsed::Refused(why.into());
    let clean = sanitise_target(target);
    let Ok(uri) = Uri::try_from(clean.as_ref()) else { return refused("target") };
    if let Err(fault) = PathPolicy::default().normalise(uri.path()) {
        return Parsed::Refused(format!("{fault:?}"));
    }
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return refused("method") };
    let mut request = Request::builder().method(method).uri(uri);
    let mut has_host = false;
    for (name, value) in fields {
        let Ok(name) = HeaderName::from_bytes(&name) else { return refused("field name") };
        let Ok(value) = HeaderValue::from_bytes(&value) else { return refused("field value") };
        has_host |= name == http::header::HOST;
        request = request.header(name, value);
    }
    if !has_host {
        request = request.header(http::header::HOST, "origin.test");
    }
    if !content.is_empty() {
        request = request.header("x-none", "").header("content-length", content.len());
    }
    match request.body(content) {
        Ok(mut request) => {
            request.headers_mut().remove("x-none");
            Parsed::Request(Box::new(request))
        }
        Err(_) => refused("request"),
    }
}
