//! The inspection of content while it streams.

mod decoding;
mod raw;
mod reader;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use proxy_core::RequestHead;

use super::detect::Signal;
use super::judge::Judge;
use super::verdict::{Inspection, Mode, Report, Step};
pub(super) use decoding::{Decoding, Undecodable};
use raw::Raw;
use reader::Reader;

/// The inspection of the content of one request.
pub(super) struct Content {
    judge: Judge,
    reader: Reader,
    decoding: Decoding,
    /// Coded content as it came, until it is clear that it is not coded so.
    raw: Option<Raw>,
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
        let decoding = Decoding::of(head.fields, judge.shared.config.ratio_limit);
        let is_false = decoding.is_err();
        if is_false {
            judge.refuse(Signal::CodingFalse, b"content-encoding");
        }
        let decoding = decoding.unwrap_or_default();
        let bounds = judge.shared.bounds();
        let is_coded = !decoding.is_none();
        let reader = Reader::of(content_type, bounds, is_coded || is_false)?;
        Some(Self {
            // What can not be refused need not wait.
            flows: flows(content_type) || judge.shared.config.mode != Mode::Enforce,
            judge,
            reader,
            decoding,
            raw: is_coded.then(|| Raw::new(content_type, bounds)),
            seen: 0,
            held: 0,
            over: false,
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
        let kept = self.raw.as_mut().map_or(0, |raw| raw.push(chunk, &mut self.judge));
        let mut decoding = std::mem::take(&mut self.decoding);
        let decoded = decoding.decode(chunk, &mut |content| {
            self.show(content);
            !self.over && !self.judge.blocks()
        });
        match decoded {
            Ok(()) if self.over => {}
            Ok(()) => self.decoding = decoding,
            Err(Undecodable::False) => self.read_as_it_came(&chunk[kept..]),
            Err(Undecodable::TooLarge) => {
                self.over = true;
                // What was decoded so far is judged all the same.
                self.reader.finish(&mut self.judge);
                self.judge.limit(Signal::LimitCoding);
            }
        }
    }

    /// The content is not in its coding: somebody will read it as it came.
    fn read_as_it_came(&mut self, rest: &[u8]) {
        self.decoding = Decoding::default();
        self.reader.finish(&mut self.judge);
        self.judge.refuse(Signal::CodingFalse, b"content-encoding");
        let Some(raw) = self.raw.take() else { return };
        let (content_type, kept) = raw.into_parts();
        let bounds = self.judge.shared.bounds();
        self.reader = Reader::of(&content_type, bounds, true).unwrap_or(Reader::Opaque);
        self.show(&kept);
        self.show(rest);
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
        if !self.over && !self.decoding.is_complete() {
            self.read_as_it_came(b"");
        }
        if let Some(raw) = &mut self.raw {
            raw.finish(&mut self.judge);
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
