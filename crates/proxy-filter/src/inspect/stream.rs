//! The inspection of content while it streams.

mod reader;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use proxy_core::RequestHead;

use super::coding::{self, ContentDecoder};
use super::detect::Signal;
use super::judge::Judge;
use super::verdict::{Inspection, Mode, Report, Step};
use reader::Reader;

/// The inspection of the content of one request.
pub(super) struct Content {
    judge: Judge,
    reader: Reader,
    decoders: Vec<Box<dyn ContentDecoder>>,
    decoded: Vec<u8>,
    seen: u64,
    raw: u64,
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
        let codings: Vec<&[u8]> = head
            .fields
            .get_all(&CONTENT_ENCODING)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&b| b == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"))
            .collect();
        let mut decoders: Vec<Box<dyn ContentDecoder>> = Vec::new();
        let mut over = false;
        // The last coding was applied last.
        for name in codings.iter().rev() {
            match coding::decoder(name) {
                Some(decoder) if decoders.len() < 2 => decoders.push(decoder),
                _ => {
                    over = true;
                    judge.limit(Signal::LimitCoding);
                    break;
                }
            }
        }
        let bounds = judge.shared.bounds();
        let reader = Reader::of(content_type, bounds, !decoders.is_empty())?;
        Some(Self {
            // What can not be refused need not wait.
            flows: flows(content_type) || judge.shared.config.mode != Mode::Enforce,
            judge,
            reader,
            decoders,
            decoded: Vec::new(),
            seen: 0,
            raw: 0,
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

    /// Takes codings off, one after the other, and shows what comes out.
    fn decode(&mut self, chunk: &[u8]) {
        let mut decoders = std::mem::take(&mut self.decoders);
        let mut decoded = std::mem::take(&mut self.decoded);
        self.raw += chunk.len() as u64;
        self.decode_from(&mut decoders, chunk, &mut decoded);
        self.decoders = decoders;
        self.decoded = decoded;
    }

    fn decode_from(
        &mut self,
        decoders: &mut [Box<dyn ContentDecoder>],
        mut input: &[u8],
        buffer: &mut Vec<u8>,
    ) {
        let Some((first, rest)) = decoders.split_first_mut() else {
            self.show(input);
            return;
        };
        let mut inner = Vec::new();
        loop {
            buffer.clear();
            match first.decode(input, buffer) {
                Ok(used) => input = &input[used..],
                Err(_) => {
                    self.over = true;
                    self.judge.limit(Signal::LimitCoding);
                    return;
                }
            }
            let config = &self.judge.shared.config;
            let most = self.raw.saturating_mul(u64::from(config.ratio_limit)).max(64 * 1024);
            if self.seen.saturating_add(buffer.len() as u64) > most {
                self.over = true;
                self.judge.limit(Signal::LimitCoding);
                return;
            }
            self.decode_from(rest, &buffer.clone(), &mut inner);
            if self.over || input.is_empty() && buffer.is_empty() {
                return;
            }
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
fn flows(content_type: &[u8]) -> bool {
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
            if self.decoders.is_empty() {
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
