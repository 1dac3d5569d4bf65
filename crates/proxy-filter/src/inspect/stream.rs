//! The inspection of content while it streams.

mod decoding;
mod raw;
mod reader;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use proxy_core::RequestHead;

use super::detect::Signal;
use super::head;
use super::judge::Judge;
use super::verdict::{Inspection, Mode, Report, Step};
pub(super) use decoding::{Decoding, Undecodable};
use raw::Raw;
use reader::{Hint, Reader};

/// Bytes of decoded content that are judged at once.
const TURN: usize = 32 * 1024;

/// The inspection of the content of one request.
pub(super) struct Content {
    judge: Judge,
    reader: Reader,
    decoding: Decoding,
    /// Coded content as it came, until it is clear that it is not coded so.
    raw: Option<Raw>,
    coded: Coded,
    seen: u64,
    /// Bytes that the caller holds back.
    held: usize,
    /// Whether content that is held would stop a conversation.
    flows: bool,
    over: bool,
    blocked: bool,
}

/// A chunk of coded content.
#[derive(Default)]
struct Coded {
    chunk: Bytes,
    /// How much of it was decoded.
    taken: usize,
    /// How much of it is kept as it came.
    kept: usize,
    /// Whether more comes out of it.
    is_busy: bool,
}

impl Content {
    /// An inspection of the content that a head announces.
    pub(super) fn of(head: RequestHead<'_>, mut judge: Judge) -> Self {
        let field = |name| head.fields.get(name).map_or(&b""[..], http::HeaderValue::as_bytes);
        let content_type = field(&CONTENT_TYPE);
        if is_disputed(head.fields) {
            judge.signal(Signal::ContentTypeOdd, b"content-type");
        }
        let decoding = Decoding::of(head.fields, judge.shared.config.ratio_limit);
        if decoding.is_err() {
            judge.refuse(Signal::CodingFalse, b"content-encoding");
        }
        let decoding = decoding.unwrap_or_default();
        let bounds = judge.shared.bounds();
        let reader = Reader::of(content_type, bounds, &mut judge);
        Self {
            // What can not be refused need not wait.
            flows: flows(content_type) || judge.shared.config.mode != Mode::Enforce,
            judge,
            reader,
            raw: (!decoding.is_none()).then(|| Raw::new(content_type, bounds)),
            decoding,
            coded: Coded::default(),
            seen: 0,
            held: 0,
            over: false,
            blocked: false,
        }
    }

    /// Whether what the head says of the content refuses the request.
    pub(super) fn blocks(&self) -> bool {
        self.judge.blocks()
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

    /// Begins to take the codings off a chunk.
    fn take_coded(&mut self, chunk: &Bytes) {
        let kept = self.raw.as_mut().map_or(0, |raw| raw.push(chunk, &mut self.judge));
        self.decoding.begin(chunk.len());
        self.coded = Coded { chunk: chunk.clone(), taken: 0, kept, is_busy: true };
    }

    /// Takes the codings off and shows what comes out, until about so much was shown.
    fn decode(&mut self, most: usize) {
        let mut decoding = std::mem::take(&mut self.decoding);
        let coded = std::mem::take(&mut self.coded);
        let mut rest = &coded.chunk[coded.taken..];
        let mut shown = 0;
        let ended = loop {
            if self.over || self.judge.blocks() {
                return;
            }
            if shown >= most {
                let taken = coded.chunk.len() - rest.len();
                self.decoding = decoding;
                self.coded = Coded { taken, is_busy: true, ..coded };
                return;
            }
            match decoding.next(&mut rest) {
                Ok(Some(content)) => {
                    shown += content.len();
                    self.show(content);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match ended {
            Ok(()) => self.decoding = decoding,
            Err(Undecodable::False) => self.read_as_it_came(&coded.chunk[coded.kept..]),
            Err(Undecodable::TooLarge) => {
                self.over = true;
                // What was decoded so far is judged all the same.
                self.reader.finish(&mut self.judge);
                // Nobody sends such content in good faith: whatever is done beyond other limits.
                self.judge.refuse(Signal::LimitCoding, b"content-encoding");
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
        self.reader = Reader::of(&content_type, bounds, &mut self.judge);
        self.show(&kept);
        self.show(rest);
    }

    /// Judges all of a chunk that was left to a later turn, which did not come.
    fn complete(&mut self) {
        if self.is_busy() {
            self.decode(usize::MAX);
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

/// Whether content types are said that are read by different readers: in several fields, or in one.
fn is_disputed(fields: &HeaderMap) -> bool {
    let mut types = fields.get_all(CONTENT_TYPE).iter().flat_map(|value| split(value.as_bytes()));
    let Some(first) = types.next() else { return false };
    let said = Hint::of(first);
    types.any(|later| {
        let hint = Hint::of(later);
        // Of two boundaries each has its reader.
        hint.is_structured() && (hint != said || hint == Hint::Multipart && later != first)
    })
}

/// The values of a list, at commas that are not quoted.
fn split(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    list.split(move |&b| {
        quoted ^= b == b'"';
        b == b',' && !quoted
    })
    .map(<[u8]>::trim_ascii)
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
        if !chunk.is_empty() {
            self.complete();
        }
        let mut judged = chunk.len();
        if self.over || self.decoding.is_none() {
            if !self.over {
                self.show(chunk);
            }
        } else {
            if !chunk.is_empty() {
                self.take_coded(chunk);
            }
            judged = self.coded.chunk.len();
            self.decode(TURN);
            if self.is_busy() {
                return Step::Hold;
            }
        }
        if self.held.saturating_add(judged) > self.judge.shared.config.window {
            // What goes on is judged with what is there of it.
            self.reader.look(&mut self.judge);
        }
        self.verdict(judged)
    }

    fn is_busy(&self) -> bool {
        self.coded.is_busy
    }

    fn trailers(&mut self, trailers: &HeaderMap) -> Step {
        if !self.blocked {
            head::fields(trailers, &mut self.judge);
        }
        if self.blocked || self.judge.blocks() { Step::Block } else { Step::Pass }
    }

    fn finish(&mut self) -> Step {
        if self.blocked {
            return Step::Block;
        }
        self.complete();
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
