//! Judges the content of one response while it passes.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_RANGE;
use http::response::Parts;

use super::config::ResponseInspectConfig;
use super::file::{FileKind, HEAD};
use crate::inspect::detect::Signal;
use crate::inspect::judge::Judge;
use crate::inspect::stream::{Decoding, flows};
use crate::inspect::value::Place;
use crate::inspect::verdict::{Inspection, Mode, Report, Step};

/// The inspection of the content of one response.
pub(super) struct ResponseContent {
    config: Arc<ResponseInspectConfig>,
    judge: Judge,
    /// None where the content can not be decoded.
    decoding: Option<Decoding>,
    /// The first bytes, until the kind of file is known.
    head: Option<Vec<u8>>,
    /// The end of the text that was searched last, which is searched again with what follows it.
    /// None where there is no text, or enough of it was searched.
    text: Option<Vec<u8>>,
    /// Bytes of text that were searched.
    searched: u64,
    /// Bytes as they came.
    size: u64,
    holds: bool,
}

impl ResponseContent {
    /// `None` where nothing is looked for in such content.
    pub(super) fn of(
        head: &Parts,
        content_type: &[u8],
        config: Arc<ResponseInspectConfig>,
        judge: Judge,
    ) -> Option<Self> {
        // A piece from the middle has no beginning. None was asked for where it would be refused.
        let range = head.headers.get(CONTENT_RANGE).map(http::HeaderValue::as_bytes);
        let whole = config.mode == Mode::Enforce || range.is_none_or(begins_at_zero);
        let files = whole && !config.block_files.is_empty();
        let text = config.leaks && is_text(content_type);
        if !files && !text && config.max_size.is_none() {
            return None;
        }
        let decoding = Decoding::of(&head.headers, judge.shared.config.ratio_limit).ok();
        Some(Self {
            holds: config.mode == Mode::Enforce && !flows(content_type) && (files || text),
            head: files.then(Vec::new),
            text: text.then(Vec::new),
            config,
            judge,
            decoding,
            searched: 0,
            size: 0,
        })
    }

    fn show(&mut self, content: &[u8]) {
        if let Some(head) = &mut self.head {
            let room = HEAD - head.len();
            head.extend_from_slice(&content[..content.len().min(room)]);
            if head.len() >= HEAD {
                self.judge_file();
            }
        }
        self.search(content);
    }

    fn search(&mut self, content: &[u8]) {
        let Some(mut text) = self.text.take() else { return };
        text.extend_from_slice(content);
        self.judge.simple(Place::Response, b"", &text);
        self.searched += content.len() as u64;
        if self.searched < self.config.content_limit {
            let overlap = self.judge.shared.config.overlap;
            text.drain(..text.len().saturating_sub(overlap));
            self.text = Some(text);
        }
    }

    fn judge_file(&mut self) {
        if let Some(head) = self.head.take()
            && let Some(kind) = FileKind::of(&head)
            && self.config.block_files.contains(&kind)
        {
            self.judge.signal(Signal::ResponseFile, kind.token().as_bytes());
        }
    }
}

impl Inspection for ResponseContent {
    fn chunk(&mut self, chunk: &Bytes) -> Step {
        let before = self.size;
        self.size += chunk.len() as u64;
        if self.config.max_size.is_some_and(|most| before <= most && most < self.size) {
            self.judge.signal(Signal::ResponseSize, b"");
        }
        if let Some(mut decoding) = self.decoding.take() {
            let decoded = if decoding.is_none() {
                self.show(chunk);
                Ok(())
            } else {
                decoding.decode(chunk, &mut |content| {
                    self.show(content);
                    !self.judge.blocks() && (self.head.is_some() || self.text.is_some())
                })
            };
            self.decoding = decoded.is_ok().then_some(decoding);
        }
        if self.judge.blocks() {
            return Step::Block;
        }
        if self.holds && self.size <= self.config.window as u64 {
            return Step::Hold;
        }
        Step::Pass
    }

    fn finish(&mut self) -> Step {
        self.judge_file();
        if self.judge.blocks() { Step::Block } else { Step::Pass }
    }

    fn report(&self) -> &Report {
        self.judge.report()
    }

    fn holds(&self) -> bool {
        self.holds
    }
}

/// Whether a range begins with the first byte: `bytes 0-99/200`.
fn begins_at_zero(range: &[u8]) -> bool {
    range
        .trim_ascii()
        .strip_prefix(b"bytes")
        .is_some_and(|r| r.trim_ascii_start().starts_with(b"0-"))
}

/// Whether content of this type is text that people read. Scripts and style sheets are not: they
/// may well have the words of an error in them.
fn is_text(content_type: &[u8]) -> bool {
    let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
    let kind = content_type[..end].trim_ascii().to_ascii_lowercase();
    match &kind[..] {
        b"" => true,
        b"text/css" | b"text/javascript" => false,
        kind => {
            kind.starts_with(b"text/")
                || kind.ends_with(b"json")
                || kind.ends_with(b"/xml")
                || kind.ends_with(b"+xml")
        }
    }
}
