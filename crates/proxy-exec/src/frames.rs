//! Output as frames: what came from where, and how it ended.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::process::message::Exit;

/// The longest line that is held back for its end. What is longer comes in parts.
const LONGEST_LINE: usize = 16 << 10;

/// A format of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Server-sent events: `stdout`, `stderr`, `exit`.
    Events,
    /// A JSON object on each line.
    Lines,
}

impl Format {
    /// The format that a client asks for by `Accept`; none where it takes bytes as they are.
    pub(crate) fn of(fields: &HeaderMap) -> Option<Self> {
        let accepts = fields.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut best: Option<(Self, f32)> = None;
        for range in accepts.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "text/event-stream" => Self::Events,
                "application/x-ndjson" | "application/ndjson" => Self::Lines,
                _ => continue,
            };
            let weight = parts.find_map(|p| p.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if weight > 0.0 && best.is_none_or(|(_, known)| weight > known) {
                best = Some((format, weight));
            }
        }
        best.map(|(format, _)| format)
    }

    pub(crate) const fn content_type(self) -> HeaderValue {
        match self {
            Self::Events => HeaderValue::from_static("text/event-stream"),
            Self::Lines => HeaderValue::from_static("application/x-ndjson"),
        }
    }
}

/// Where output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Output,
    Errors,
}

impl Stream {
    const fn name(self) -> &'static str {
        match self {
            Self::Output => "stdout",
            Self::Errors => "stderr",
        }
    }
}

/// Makes frames of output: one of each line. What is no UTF-8 is replaced by U+FFFD.
#[derive(Debug)]
pub(crate) struct Framer {
    format: Format,
    output: Vec<u8>,
    errors: Vec<u8>,
}

impl Framer {
    pub(crate) const fn new(format: Format) -> Self {
        Self { format, output: Vec::new(), errors: Vec::new() }
    }

    /// The frames of the lines that are whole now.
    pub(crate) fn push(&mut self, stream: Stream, bytes: &[u8]) -> Bytes {
        let mut made = Vec::new();
        let held = match stream {
            Stream::Output => &mut self.output,
            Stream::Errors => &mut self.errors,
        };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            held.extend_from_slice(part);
            if held.last() == Some(&b'\n') || held.len() >= LONGEST_LINE {
                write(&mut made, self.format, stream, held);
                held.clear();
            }
        }
        made.into()
    }

    /// What is left, and how it ended.
    pub(crate) fn finish(&mut self, exit: &Exit, why: &str) -> Bytes {
        let mut made = Vec::new();
        for (stream, held) in [
            (Stream::Output, std::mem::take(&mut self.output)),
            (Stream::Errors, std::mem::take(&mut self.errors)),
        ] {
            if !held.is_empty() {
                write(&mut made, self.format, stream, &held);
            }
        }
        let mut end = serde_json::Map::new();
        if self.format == Format::Lines {
            end.insert("event".to_owned(), "exit".into());
        }
        if let Some(code) = exit.code {
            end.insert("status".to_owned(), code.into());
        }
        if let Some(signal) = exit.signal {
            end.insert("signal".to_owned(), signal_name(signal).into());
        }
        end.insert("why".to_owned(), why.into());
        let end = serde_json::Value::from(end);
        let text = match self.format {
            Format::Events => format!("event: exit\ndata: {end}\n\n"),
            Format::Lines => format!("{end}\n"),
        };
        made.extend_from_slice(text.as_bytes());
        made.into()
    }
}

fn write(made: &mut Vec<u8>, format: Format, stream: Stream, line: &[u8]) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = String::from_utf8_lossy(line);
    match format {
        Format::Events => {
            made.extend_from_slice(b"event: ");
            made.extend_from_slice(stream.name().as_bytes());
            // A carriage return ends a line of an event stream too.
            for part in text.split('\r') {
                made.extend_from_slice(b"\ndata: ");
                made.extend_from_slice(part.as_bytes());
            }
            made.extend_from_slice(b"\n\n");
        }
        Format::Lines => {
            let frame = serde_json::json!({"event": stream.name(), "data": text});
            made.extend_from_slice(frame.to_string().as_bytes());
            made.push(b'\n');
        }
    }
}

/// The name of a signal, or its number.
pub(crate) fn signal_name(signal: i32) -> String {
    let known = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGSYS, "SIGSYS"),
    ];
    match known.iter().find(|(number, _)| *number == signal) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("SIG{signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses_by_accept() {
        for (accept, expected) in [
            ("text/event-stream", Some(Format::Events)),
            ("Application/X-NDJSON", Some(Format::Lines)),
            ("*/*", None),
            ("text/html", None),
            ("text/event-stream;q=0", None),
            ("application/x-ndjson;q=0.5, text/event-stream;q=0.9", Some(Format::Events)),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Format::of(&fields), expected, "{accept}");
        }
    }

    #[test]
    fn a_line_is_a_frame_however_it_came() {
        let mut framer = Framer::new(Format::Events);
        assert!(framer.push(Stream::Output, b"a").is_empty());
        let made = framer.push(Stream::Output, b"b\nc\rd\r\n\ne");
        let expected = "event: stdout\ndata: ab\n\nevent: stdout\ndata: c\ndata: d\n\n\
                        event: stdout\ndata: \n\n";
        assert_eq!(made, expected);
        let exit = Exit { code: Some(7), ..Exit::default() };
        let made = framer.finish(&exit, "failed");
        assert_eq!(
            made,
            "event: stdout\ndata: e\n\nevent: exit\ndata: {\"status\":7,\"why\":\"failed\"}\n\n"
        );
    }

    #[test]
    fn nothing_in_a_line_ends_its_frame() {
        let mut framer = Framer::new(Format::Lines);
        let made = framer.push(Stream::Errors, b"\"},\xff\x00\n");
        let read: serde_json::Value = serde_json::from_slice(&made).unwrap();
        assert_eq!(read["data"], "\"},\u{fffd}\0");
        assert_eq!(made.iter().filter(|byte| **byte == b'\n').count(), 1);
        let exit = Exit { signal: Some(9), ..Exit::default() };
        assert_eq!(
            framer.finish(&exit, "signal"),
            "{\"event\":\"exit\",\"signal\":\"SIGKILL\",\"why\":\"signal\"}\n"
        );
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut framer = Framer::new(Format::Lines);
        let made = framer.push(Stream::Output, &vec![b'x'; LONGEST_LINE * 2]);
        assert!(!made.is_empty());
        assert!(framer.output.len() < LONGEST_LINE);
    }
}
