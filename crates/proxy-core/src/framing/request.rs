//! Request heads (RFC 9112 sections 2 and 3).

use std::borrow::Cow;

use super::{Fault, Framing, HeadScan, MessageFramer, bytes};

/// Empty lines before a request line that are skipped: clients once sent one behind a POST.
pub const EMPTY_LINES: usize = 4;

/// What the edge must know of a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeadInfo {
    /// Bytes of empty lines before the head, to be skipped.
    pub skip: usize,
    /// Bytes of the head itself, with its last CRLF.
    pub len: usize,
    /// How the content is delimited.
    pub framing: Framing,
    /// The method is CONNECT: what follows is not a request.
    pub connect: bool,
    /// The client speaks HTTP/1.0.
    pub version_10: bool,
    /// The client lets the connection be used again.
    pub keep_alive: bool,
    /// `Expect: 100-continue`.
    pub expects_continue: bool,
    /// `TE: trailers`.
    pub takes_trailers: bool,
    /// `OPTIONS` with an absolute target without path, which asks for the server as a whole
    /// (RFC 9112 section 3.2.4); a URI parser can not tell it from one with the path `/`.
    pub options_without_path: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestLine {
    skip: usize,
    connect: bool,
    version_10: bool,
    unclean_target: bool,
    options_without_path: bool,
}

impl MessageFramer {
    /// Looks for a request head at the start of `head`. After `Complete` the framer is ready for
    /// the next one. A fault is final.
    ///
    /// # Errors
    /// The first [`Fault`] found.
    pub fn scan_request(&mut self, head: &[u8]) -> Result<HeadScan<RequestHeadInfo>, Fault> {
        while !self.started {
            let Some(line) = self.next_line(head)? else { return Ok(HeadScan::Partial) };
            if line.is_empty() {
                self.empty_lines += 1;
                if self.empty_lines > EMPTY_LINES {
                    return Err(Fault::EmptyLines);
                }
                self.request.skip = self.lines_end;
                continue;
            }
            self.request.read(line)?;
            self.started = true;
            self.fields_start = self.lines_end;
            self.spans.begin(self.request.skip);
            self.spans.set_request_line(line);
        }
        if !self.scan_fields(head)? {
            return Ok(HeadScan::Partial);
        }
        let line = self.request;
        let framing = self.fields.framing(line.version_10)?;
        if line.connect && framing.is_some() {
            return Err(Fault::ConnectContent);
        }
        let info = RequestHeadInfo {
            skip: line.skip,
            len: self.lines_end - line.skip,
            framing: framing.unwrap_or(Framing::None),
            connect: line.connect,
            version_10: line.version_10,
            keep_alive: self.fields.persists(line.version_10),
            expects_continue: self.fields.expects_continue,
            takes_trailers: self.fields.takes_trailers,
            options_without_path: line.options_without_path,
        };
        self.reset();
        Ok(HeadScan::Complete(info))
    }
}

impl RequestLine {
    fn read(&mut self, line: &[u8]) -> Result<(), Fault> {
        if line.contains(&b'\r') {
            return Err(Fault::BareCr);
        }
        let method_end = line.iter().position(|&b| !bytes::is_token(b)).unwrap_or(line.len());
        if line.get(method_end) != Some(&b' ') {
            let is_line = line.contains(&b' ');
            return Err(if is_line { Fault::Method } else { Fault::RequestLine });
        }
        if method_end == 0 {
            return Err(Fault::RequestLine);
        }
        let method = &line[..method_end];
        let rest = &line[method_end + 1..];
        // No target may hold a space, so the first one ends it.
        let target_end = memchr::memchr(b' ', rest).ok_or(Fault::RequestLine)?;
        let (target, version) = (&rest[..target_end], &rest[target_end + 1..]);
        if target.is_empty() {
            return Err(Fault::RequestLine);
        }
        self.version_10 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(version_fault(version)),
        };
        self.connect = method == b"CONNECT";
        match sanitise_target(target) {
            Cow::Borrowed(target) => self.target(method, target),
            Cow::Owned(clean) => {
                self.unclean_target = true;
                self.target(method, &clean)
            }
        }
    }

    /// Every target that passes parses as a `http::Uri`: all faults are found here, and named.
    fn target(&mut self, method: &[u8], target: &[u8]) -> Result<(), Fault> {
        if self.connect {
            return match self.unclean_target {
                false => authority_form(target),
                true => Err(Fault::Target),
            };
        }
        match target.first().ok_or(Fault::Target)? {
            b'/' => origin_form(target),
            b'*' if target.len() == 1 => Ok(()),
            _ => {
                let scheme = target.iter().position(|&b| b == b':').ok_or(Fault::Target)?;
                let (scheme, rest) = target.split_at(scheme);
                let valid_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
                    && scheme.len() <= 64
                    && scheme
                        .iter()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
                let rest =
                    rest.strip_prefix(b"://").filter(|_| valid_scheme).ok_or(Fault::Target)?;
                let path = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
                if path == 0 {
                    return Err(Fault::Target);
                }
                match rest.get(path) {
                    Some(b'/') => origin_form(&rest[path..])?,
                    Some(_) if !bytes::all_query(&rest[path + 1..]) => return Err(Fault::Target),
                    _ => self.options_without_path = method == b"OPTIONS" && path == rest.len(),
                }
                parses(target)
            }
        }
    }
}

/// What clients send and no target may hold, in the one form that a URL parser gives it (WHATWG):
/// a fragment is dropped, `"`, `<`, `>` and `` ` `` are escaped.
pub fn sanitise_target(target: &[u8]) -> Cow<'_, [u8]> {
    if !target.iter().any(|b| matches!(b, b'#' | b'"' | b'<' | b'>' | b'`')) {
        return Cow::Borrowed(target);
    }
    let mut clean = Vec::with_capacity(target.len() + 8);
    for &b in target.iter().take_while(|&&b| b != b'#') {
        match b {
            b'"' => clean.extend_from_slice(b"%22"),
            b'<' => clean.extend_from_slice(b"%3C"),
            b'>' => clean.extend_from_slice(b"%3E"),
            b'`' => clean.extend_from_slice(b"%60"),
            _ => clean.push(b),
        }
    }
    Cow::Owned(clean)
}

/// Judges a target in origin-form that comes from elsewhere than a request line: HTTP/2's `:path`.
///
/// # Errors
/// [`Fault::Target`].
pub fn judge_target(target: &[u8]) -> Result<(), Fault> {
    match target.first() {
        Some(b'/') => origin_form(target),
        _ => Err(Fault::Target),
    }
}

fn origin_form(target: &[u8]) -> Result<(), Fault> {
    let valid = match memchr::memchr(b'?', target) {
        None => bytes::all_path(target),
        Some(q) => bytes::all_path(&target[..q]) && bytes::all_query(&target[q + 1..]),
    };
    // The URI type holds 65,534 bytes.
    if valid && target.len() < 65_534 { Ok(()) } else { Err(Fault::Target) }
}

fn authority_form(target: &[u8]) -> Result<(), Fault> {
    if target.iter().any(|b| matches!(b, b'/' | b'?' | b'#' | b'@')) {
        return Err(Fault::Target);
    }
    parses(target)
}

fn parses(target: &[u8]) -> Result<(), Fault> {
    if !target.is_ascii() || target.contains(&b'#') {
        return Err(Fault::Target);
    }
    http::Uri::try_from(target).map(drop).map_err(|_| Fault::Target)
}

/// Another version of HTTP is 505, anything else is no request line.
fn version_fault(version: &[u8]) -> Fault {
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Fault::Version
        }
        _ => Fault::RequestLine,
    }
}
