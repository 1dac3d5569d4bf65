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

/// Makes frames of output: one of each line, which ends with LF, CR or both, so that a program that
/// writes its progress over and over is heard each time. What is no UTF-8 is replaced by U+FFFD.
#[derive(Debug)]
pub(crate) struct Framer {
    format: Format,
    output: Line,
    errors: Line,
}

/// The beginning of a line that has not ended.
#[derive(Debug, Default)]
struct Line {
    held: Vec<u8>,
    /// The last one ended with CR: LF would be of the same end.
    after_return: bool,
}

impl Framer {
    pub(crate) const fn new(format: Format) -> Self {
        const EMPTY: Line = Line { held: Vec::new(), after_return: false };
        Self { format, output: EMPTY, errors: EMPTY }
    }

    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// The frames of the lines that are whole now.
    pub(crate) fn push(&mut self, stream: Stream, mut bytes: &[u8]) -> Bytes {
        let mut made = Vec::new();
        let line = match stream {
            Stream::Output => &mut self.output,
            Stream::Errors => &mut self.errors,
        };
        if std::mem::take(&mut line.after_return) {
            match bytes {
                [b'\n', rest @ ..] => bytes = rest,
                [] => line.after_return = true,
                _ => {}
            }
        }
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            line.held.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            line.cut(|part| write(&mut made, self.format, stream, part));
            let Some(end) = end else { break };
            write(&mut made, self.format, stream, &line.held);
            line.held.clear();
            let is_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            match bytes {
                [b'\n', rest @ ..] if is_return => bytes = rest,
                [] => line.after_return = is_return,
                _ => {}
            }
        }
        made.into()
    }

    /// What is left, and how it ended.
    pub(crate) fn finish(&mut self, exit: &Exit, why: &str) -> Bytes {
        let mut made = Vec::new();
        for (stream, held) in [
            (Stream::Output, std::mem::take(&mut self.output.held)),
            (Stream::Errors, std::mem::take(&mut self.errors.held)),
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

impl Line {
    /// Gives parts of a line that is longer than a frame. None ends within a character.
    fn cut(&mut self, mut write: impl FnMut(&[u8])) {
        let mut from = 0;
        while self.held.len() - from > LONGEST_LINE {
            let most = from + LONGEST_LINE;
            // A character has at most four bytes; what is more of this kind is none.
            let is_inside = |at: &usize| self.held[*at] & 0xc0 == 0x80;
            let end = (most - 3..=most).rev().find(|at| !is_inside(at)).unwrap_or(most);
            write(&self.held[from..end]);
            from = end;
        }
        self.held.drain(..from);
    }
}

fn write(made: &mut Vec<u8>, format: Format, stream: Stream, line: &[u8]) {
    let text = String::from_utf8_lossy(line);
    match format {
        Format::Events => {
            made.extend_from_slice(b"event: ");
            made.extend_from_slice(stream.name().as_bytes());
            made.extend_from_slice(b"\ndata: ");
            made.extend_from_slice(text.as_bytes());
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
mod tests;
