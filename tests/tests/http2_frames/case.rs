//! A case: what a client sends, and what must come of it.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use proxyd_tests::h2_client::value;
use proxyd_tests::h2_wire::{Event, Link, PREFACE, code, kind};
use proxyd_tests::hpack;
use proxyd_tests::origin::{Act, Origin, Turn, ok};
use proxyd_tests::wire::Request;

/// Flags (RFC 9113 section 6).
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
pub(crate) const PRIORITY: u8 = 0x20;
/// A whole request without content.
pub(crate) const WHOLE: u8 = END_STREAM | END_HEADERS;

/// Paths that begin so must never be asked of the origin.
pub(crate) const FAULTY: &str = "/faulty";

/// What the client does, in turn.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Waits until this stream has its whole answer.
    Answered(u32),
    /// Waits until this stream is reset.
    Reset(u32),
}

/// What must come of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Must {
    /// The connection ends, by GOAWAY with one of these codes.
    EndConnection(&'static [u32]),
    /// The stream is reset with one of these codes, or the connection ends with one of them, or the
    /// request is answered with 400 (RFC 9113 section 8.1.1); 405 where CONNECT is not served.
    EndStream(u32, &'static [u32]),
    /// The stream is reset with one of these codes; those before it stay open.
    Refuse(u32, &'static [u32]),
    /// The stream is answered with this status, and the connection goes on.
    Answer(u32, u16),
    /// Nothing comes of it: the connection goes on.
    GoOn,
}

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    section: &'static str,
    what: String,
    steps: Vec<Step>,
    must: Must,
    /// Whether the usual preface is sent first.
    preface: bool,
}

impl Case {
    pub(crate) fn new(section: &'static str, what: impl Into<String>, must: Must) -> Self {
        Self { section, what: what.into(), steps: Vec::new(), must, preface: true }
    }

    /// The client sends what follows, and nothing before it.
    pub(crate) fn bare(mut self) -> Self {
        self.preface = false;
        self
    }

    pub(crate) fn send(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Send(bytes.as_ref().to_vec()));
        self
    }

    /// Each byte in a write of its own.
    pub(crate) fn pieces(mut self, bytes: &[u8]) -> Self {
        self.steps.extend(bytes.iter().map(|byte| Step::Send(vec![*byte])));
        self
    }

    pub(crate) fn frame(self, kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Self {
        let bytes = frame(kind, flags, stream, payload.as_ref());
        self.send(bytes)
    }

    /// A whole GET.
    pub(crate) fn get(self, stream: u32, path: &str) -> Self {
        self.frame(kind::HEADERS, WHOLE, stream, head("GET", path, &[]))
    }

    /// The head of a POST whose content is to follow.
    pub(crate) fn post(self, stream: u32, path: &str) -> Self {
        self.frame(kind::HEADERS, END_HEADERS, stream, head("POST", path, &[]))
    }

    pub(crate) fn answered(mut self, stream: u32) -> Self {
        self.steps.push(Step::Answered(stream));
        self
    }

    pub(crate) fn reset(mut self, stream: u32) -> Self {
        self.steps.push(Step::Reset(stream));
        self
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.section, self.what)
    }

    /// What is wrong with how it went.
    pub(crate) fn run(&self, proxy: SocketAddr, origin: &Origin) -> Result<(), String> {
        let mark = origin.mark();
        let stream = TcpStream::connect(proxy).expect("the proxy listens");
        stream.set_nodelay(true).expect("nodelay");
        let mut link = Link::new(stream);
        if self.preface {
            link.send_raw(PREFACE);
            link.send_settings(&[]);
        }
        for step in &self.steps {
            match step {
                Step::Send(bytes) => link.send_raw(bytes),
                Step::Answered(stream) => until_end(&mut link, *stream)?,
                Step::Reset(stream) => until_reset(&mut link, *stream)?,
            }
        }
        self.judge(&mut link)?;
        let complete = origin.since(&mark).into_iter().flat_map(|seen| seen.requests);
        let faulty: Vec<String> =
            complete.map(|request| request.line()).filter(|line| line.contains(FAULTY)).collect();
        if !faulty.is_empty() {
            return Err(format!("the origin saw {faulty:?}"));
        }
        Ok(())
    }

    fn judge(&self, link: &mut Link) -> Result<(), String> {
        match self.must {
            Must::EndConnection(codes) => loop {
                match link.event() {
                    Event::GoAway { code, .. } if codes.contains(&code) => return closed(link),
                    Event::GoAway { code, .. } => return Err(format!("GOAWAY {code}")),
                    Event::Closed => return Err("closed without GOAWAY".into()),
                    Event::Silence => return Err("nothing".into()),
                    // Its streams may end first.
                    _ => {}
                }
            },
            Must::EndStream(stream, codes) => loop {
                match link.event() {
                    Event::Reset { stream: on, code } if on == stream => {
                        return match codes.contains(&code) {
                            true => goes_on(link),
                            false => Err(format!("RST_STREAM {code}")),
                        };
                    }
                    Event::Fields { stream: on, fields, .. } if on == stream => {
                        match value(&fields, ":status") {
                            Some("400" | "405") => return goes_on(link),
                            other => return Err(format!("answered {other:?}")),
                        }
                    }
                    Event::GoAway { code, .. } if codes.contains(&code) => return closed(link),
                    Event::GoAway { code, .. } => return Err(format!("GOAWAY {code}")),
                    Event::Closed => return Err("closed without GOAWAY".into()),
                    Event::Silence => return Err("nothing".into()),
                    _ => {}
                }
            },
            Must::Refuse(stream, codes) => loop {
                match link.event() {
                    Event::Reset { stream: on, code } if on == stream && codes.contains(&code) => {
                        return Ok(());
                    }
                    Event::Fields { .. } | Event::Data { .. } => {}
                    other => return Err(format!("{other:?}")),
                }
            },
            Must::Answer(stream, status) => loop {
                match link.event() {
                    Event::Fields { stream: on, fields, .. } if on == stream => {
                        let got = value(&fields, ":status").unwrap_or_default();
                        return match got == status.to_string() {
                            true => goes_on(link),
                            false => Err(format!("answered {got}")),
                        };
                    }
                    Event::Fields { .. } | Event::Data { .. } => {}
                    other => return Err(format!("{other:?}")),
                }
            },
            Must::GoOn => goes_on(link),
        }
    }
}

/// What the origin answers.
pub(crate) fn answer(request: &Request, _: Turn) -> Vec<Act> {
    if request.head.target == "/never" { Vec::new() } else { ok("hello") }
}

/// A frame as it is on the wire.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame's length");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// One setting (RFC 9113 section 6.5.1).
pub(crate) fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// The header section of a request.
pub(crate) fn head(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = vec![
        (":method", method),
        (":scheme", "http"),
        (":authority", "origin.test"),
        (":path", path),
    ];
    fields.extend(more);
    hpack::encode(&fields)
}

/// The connection is closed once it was told to go.
fn closed(link: &mut Link) -> Result<(), String> {
    loop {
        match link.event() {
            Event::Closed => return Ok(()),
            Event::Silence => return Err("GOAWAY, but never closed".into()),
            _ => {}
        }
    }
}

/// A request on a stream that no case uses is still answered.
fn goes_on(link: &mut Link) -> Result<(), String> {
    const LATER: u32 = 1001;
    link.send(kind::HEADERS, WHOLE, LATER, &head("GET", "/later", &[]));
    loop {
        match link.event_within(Duration::from_secs(20)) {
            Event::Fields { stream: LATER, fields, .. } => {
                return match value(&fields, ":status") {
                    Some("200") => Ok(()),
                    other => Err(format!("a later request is answered {other:?}")),
                };
            }
            Event::GoAway { code, .. } => return Err(format!("later GOAWAY {code}")),
            Event::Closed => return Err("later closed".into()),
            Event::Silence => return Err("later nothing".into()),
            Event::Reset { stream: LATER, code } => return Err(format!("later reset {code}")),
            _ => {}
        }
    }
}

/// Reads until a stream has ended.
fn until_end(link: &mut Link, stream: u32) -> Result<(), String> {
    loop {
        match link.event() {
            Event::Fields { stream: on, end: true, .. }
            | Event::Data { stream: on, end: true, .. }
                if on == stream =>
            {
                return Ok(());
            }
            Event::Fields { .. } | Event::Data { .. } => {}
            event => return Err(format!("before: {event:?}")),
        }
    }
}

fn until_reset(link: &mut Link, stream: u32) -> Result<(), String> {
    loop {
        match link.event() {
            Event::Reset { stream: on, .. } if on == stream => return Ok(()),
            event @ (Event::GoAway { .. } | Event::Closed | Event::Silence) => {
                return Err(format!("before: {event:?}"));
            }
            _ => {}
        }
    }
}

/// Codes that the cases name.
pub(crate) const PROTOCOL: &[u32] = &[code::PROTOCOL_ERROR];
pub(crate) const FLOW_CONTROL: &[u32] = &[3];
/// h2 does not tell a stream that has ended from a frame that is out of place.
pub(crate) const STREAM_CLOSED: &[u32] = &[5, 1];
pub(crate) const FRAME_SIZE: &[u32] = &[6];
/// h2 does not tell a block that is no HPACK from fields that are none.
pub(crate) const COMPRESSION: &[u32] = &[9, 1];
/// Where two rules of the standards hold.
pub(crate) const CLOSED_OR_PROTOCOL: &[u32] = &[5, 1];
pub(crate) const REFUSED_OR_PROTOCOL: &[u32] = &[7, 1];
