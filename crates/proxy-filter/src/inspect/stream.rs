//! The inspection of content while it streams.

mod decoding;
mod reader;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use proxy_core::RequestHead;

use super::detect::Signal;
use super::judge::Judge;
use super::verdict::{Inspection, Mode, Report, Step};
pub(super) use decoding::Decoding;
use reader::Reader;

/// The inspection of the content of one request.
pub(super) struct Content {
    judge: Judge,
    reader: Reader,
    decoding: Decoding,
    seen: u64,
    /// Bytes that the caller holds back.
    held: usize,
    /// Whether content that is held would stop a conversation.
    flows: bool,
    over: bool,
    blocked: bool,
}

impl Content {
    /// An inspection of the content that a head announces; `None` where none is worth a look.
    pub(super) fn of(head: RequestHead<'_>, mut judge: Judge) -> Option<Self> {
        let field = |name| head.fields.get(name).map_or(&b""[..], http::HeaderValue::as_bytes);
        let content_type = field(&CONTENT_TYPE);
        let (decoding, over) = match Decoding::of(head.fields, judge.shared.config.ratio_limit) {
            Ok(decoding) => (decoding, false),
            Err(_) => {
                judge.limit(Signal::LimitCoding);
                (Decoding::default(), true)
            }
        };
        let bounds = judge.shared.bounds();
        let reader = Reader::of(content_type, bounds, !decoding.is_none() || over)?;
        Some(Self {
            // What can not be refused need not wait.
            flows: flows(content_type) || judge.shared.config.mode != Mode::Enforce,
            judge,
            reader,
            decoding,
            seen: 0,
            held: 0,
            over,
            blocked: false,
        })
    }

    /// Shows decoded content to the reader, as far as the limit goes.
    fn show(&mut self, content: &[u8]) {
        let limit = self.judge.shared.config.content_limit;
        let room = limit.saturating_sub(self.seen);
        let now = content.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.reader.push(&content[..now], &mut self.judge);
        self.seen += now as u64;
        if now < content.len() {
            self.reader.finish(&mut self.judge);
            self.judge.limit(Signal::LimitContent);
            self.over = true;
        }
    }

    /// Takes the codings off and shows what comes out.
    fn decode(&mut self, chunk: &[u8]) {
        let mut decoding = std::mem::take(&mut self.decoding);
        let decoded = decoding.decode(chunk, &mut |content| {
            self.show(content);
            !self.over && !self.judge.blocks()
        });
        self.decoding = decoding;
        if decoded.is_err() {
            self.over = true;
            // What was decoded so far is judged all the same.
            self.reader.finish(&mut self.judge);
            self.judge.limit(Signal::LimitCoding);
        }
    }

    fn verdict(&mut self, chunk: usize) -> Step {
        if self.judge.blocks() {
            self.blocked = true;
            return Step::Block;
        }
        self.held = self.held.saturating_add(chunk);
        // What is complete in the window may go; before that the whole is held, so that small
        // content reaches nobody before it is judged.
        if self.flows || self.over || self.held > self.judge.shared.config.window {
            self.held = 0;
            return Step::Pass;
        }
        Step::Hold
    }
}

/// Content of which no piece may wait for the next.
pub(super) fn flows(content_type: &[u8]) -> bool {
    [&b"text/event-stream"[..], b"application/grpc", b"application/x-ndjson", b"multipart/x-mixed"]
        .iter()
        .any(|t| content_type.len() >= t.len() && content_type[..t.len()].eq_ignore_ascii_case(t))
}

impl Inspection for Content {
    fn chunk(&mut self, chunk: &Bytes) -> Step {
        if self.blocked {
            return Step::Block;
        }
        if !self.over {
            if self.decoding.is_none() {
                self.show(chunk);
            } else {
                self.decode(chunk);
            }
        }
        if self.held.saturating_add(chunk.len()) > self.judge.shared.config.window {
            // What goes on is judged with what is there of it.
            self.reader.look(&mut self.judge);
        }
        self.verdict(chunk.len())
    }

    fn finish(&mut self) -> Step {
        if self.blocked {
            return Step::Block;
        }
        if !self.over {
            self.reader.finish(&mut self.judge);
        }
        if self.judge.blocks() { Step::Block } else { Step::Pass }
    }

    fn report(&self) -> &Report {
        self.judge.report()
    }

    fn holds(&self) -> bool {
        !self.flows && !self.over
    }
}
