//! Judges values one by one, and adds up what the rules say.

mod apart;
mod clean;

use std::sync::Arc;

use super::config::{InspectConfig, OnLimit};
use super::detect::{self, Signal, Signals};
use super::document::{self, Around};
use super::extract::{Bounds, Sink};
use super::kinds::Kinds;
use super::normalise::{self, Traits};
use super::rules::{Matcher, RuleBits};
use super::value::{Place, Value};
use super::verdict::{Finding, Mode, Report};
use clean::{Clean, Key};

/// The most findings of one report.
const FINDINGS: usize = 16;

/// How often a value is taken apart again.
const DEPTH: u8 = 3;

/// What all inspections of one engine share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: InspectConfig,
    pub(super) matcher: Arc<Matcher>,
}

impl Shared {
    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            window: self.config.window,
            overlap: self.config.overlap,
            depth: self.config.depth_limit,
        }
    }
}

/// Judges the values of one request.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) shared: Arc<Shared>,
    report: Report,
    /// What the rules about the request as a whole score.
    request: u16,
    /// What the worst value scores.
    worst: u16,
    values: u32,
    depth: u8,
    bits: RuleBits,
    /// How many values a rule matched.
    matched: u32,
    clean: Clean,
    /// What was seen of a JSON text.
    around: Around,
    /// The origin of a URL, and what was read of it.
    known_origin: (Vec<u8>, Signals),
    /// Buffers that are not in use.
    spare: Vec<Vec<u8>>,
}

impl Judge {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            report: Report::default(),
            request: 0,
            worst: 0,
            values: 0,
            depth: 0,
            bits: RuleBits::default(),
            matched: 0,
            clean: Clean::default(),
            around: Around::default(),
            known_origin: (Vec::new(), Signals::default()),
            spare: Vec::new(),
        }
    }

    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    pub(super) fn take_report(&mut self) -> Report {
        std::mem::take(&mut self.report)
    }

    /// Goes on where the judge of the head stopped, with its scores and without its findings.
    pub(super) fn continued(&mut self) -> Self {
        Self {
            request: self.request,
            worst: self.worst,
            values: self.values,
            ..Self::new(Arc::clone(&self.shared))
        }
    }

    /// Whether the request is refused.
    pub(super) fn blocks(&self) -> bool {
        self.shared.config.mode == Mode::Enforce && self.report.is_attack
    }

    /// Adds up, after something was found.
    fn add_up(&mut self) {
        self.report.score = self.request.saturating_add(self.worst);
        self.report.is_attack = self.report.score >= self.shared.config.threshold;
    }

    /// Something about the request as a whole.
    pub(super) fn signal(&mut self, signal: Signal, name: &[u8]) {
        let mut signals = Signals::default();
        signals.add(signal);
        let value = Value { place: Place::Request, name, bytes: b"", is_name: false };
        self.score(&value, Kinds::default(), signals);
    }

    /// Something about the request as a whole that refuses it alone, whatever the threshold, unless
    /// its rule is left out.
    pub(super) fn refuse(&mut self, signal: Signal, name: &[u8]) {
        let before = self.request;
        self.signal(signal, name);
        if self.request > before {
            self.request = self.request.max(self.shared.config.threshold);
            self.add_up();
        }
    }

    /// A limit was reached; what that means the configuration says.
    pub(super) fn limit(&mut self, signal: Signal) {
        self.signal(signal, b"");
        if self.shared.config.on_limit == OnLimit::Deny {
            self.request = self.request.max(self.shared.config.threshold);
            self.add_up();
        }
    }

    /// A value that is only matched, neither taken apart nor read.
    pub(super) fn simple(&mut self, place: Place, name: &[u8], bytes: &[u8]) {
        let value = Value { place, name, bytes, is_name: false };
        self.score(&value, Kinds::of(bytes), Signals::default());
    }

    /// Judges a value.
    pub(super) fn value(&mut self, value: Value<'_>) {
        if value.bytes.is_empty() {
            return;
        }
        self.values += 1;
        if self.values > self.shared.config.values_limit {
            if self.values == self.shared.config.values_limit + 1 {
                self.limit(Signal::LimitValues);
            }
            return;
        }
        // What is kept has no names.
        let named = detect::is_about_its_name(&value);
        let key = if named { None } else { Key::of(&value, self.depth, self.values) };
        if key.is_some_and(|key| self.clean.has(&key)) {
            return;
        }
        self.unknown(value, key);
    }

    /// Judges a value that was not seen before.
    #[inline(never)]
    fn unknown(&mut self, value: Value<'_>, key: Option<Key>) {
        let matched = self.matched;
        self.judge(value);
        if let Some(key) = key
            && self.matched == matched
        {
            self.clean.add(key);
        }
    }

    fn judge(&mut self, value: Value<'_>) {
        let kinds = Kinds::of(value.bytes);
        if self.depth < DEPTH && !value.is_name && self.take_apart(value, kinds) {
            return;
        }
        self.plain(value, kinds);
    }

    /// A value that is made of nothing else.
    fn plain(&mut self, value: Value<'_>, kinds: Kinds) {
        if !kinds.has(Kinds::ESCAPE) {
            let signals = detect::read(&value, kinds);
            self.score(&value, kinds, signals);
            return;
        }
        let (mut out, mut spare) = (self.buffer(), self.buffer());
        let depth = self.shared.config.decode_depth;
        let mut signals = Signals::default();
        match normalise::of_kinds(value.bytes, kinds, depth, &mut out, &mut spare) {
            Some(traits) => {
                spell(&traits, value.place, &mut signals);
                let value = Value { bytes: &out, ..value };
                let kinds = Kinds::of(&out);
                signals.merge(detect::read(&value, kinds));
                self.score(&value, kinds, signals);
                self.plus(&value, &traits, &mut spare);
            }
            None => {
                let signals = detect::read(&value, kinds);
                self.score(&value, kinds, signals);
            }
        }
        self.spare.extend([out, spare]);
    }

    /// A value that had escapes, and has plus signs and no spaces: some reader takes them for
    /// spaces.
    fn plus(&mut self, value: &Value<'_>, traits: &Traits, spaced: &mut Vec<u8>) {
        let bytes = value.bytes;
        if !traits.percent
            || memchr::memchr(b'+', bytes).is_none()
            || memchr::memchr(b' ', bytes).is_some()
        {
            return;
        }
        spaced.clear();
        spaced.extend(bytes.iter().map(|&b| if b == b'+' { b' ' } else { b }));
        let value = Value { bytes: spaced, ..*value };
        let kinds = Kinds::of(spaced);
        let signals = detect::read(&value, kinds);
        self.score(&value, kinds, signals);
    }

    fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Adds up the rules that match.
    fn score(&mut self, value: &Value<'_>, kinds: Kinds, signals: Signals) {
        let shared = &self.shared;
        if !shared.matcher.matches(value, kinds, signals, &mut self.bits) {
            return;
        }
        self.matched = self.matched.wrapping_add(1);
        let mut score = 0u16;
        // Only what has matched is worth the look.
        let is_document = document::is_document(value, self.around);
        // That code of several kinds is quoted says no more than that one is.
        let mut code = 0u16;
        for number in self.bits.iter() {
            let rule = shared.matcher.rule(number);
            if rule.excepts(value.name)
                || shared.config.exclusions.iter().any(|e| e.covers(&rule.id, value.name))
            {
                continue;
            }
            let worth = if is_document { rule.quoted } else { rule.score };
            if worth == 0 && rule.score > 0 {
                continue;
            }
            if worth < rule.score && rule.class.is_code() {
                code = code.max(worth);
            } else {
                score = score.saturating_add(worth);
            }
            let is_new = |f: &Finding| !Arc::ptr_eq(&f.rule, &rule.id);
            if self.report.findings.len() < FINDINGS && self.report.findings.iter().all(is_new) {
                self.report.findings.push(Finding {
                    rule: Arc::clone(&rule.id),
                    class: rule.class,
                    score: worth,
                    place: value.place,
                    parameter: printable(value.name),
                    reason: Arc::clone(&rule.reason),
                });
            }
        }
        score = score.saturating_add(code);
        match value.place {
            Place::Request => self.request = self.request.saturating_add(score),
            _ => self.worst = self.worst.max(score),
        }
        self.add_up();
    }
}

impl Sink for Judge {
    fn found(&mut self, place: Place, name: &[u8], value: &[u8], is_name: bool) {
        self.around.see(place, value, is_name);
        if place.is_read() {
            self.value(Value { place, name, bytes: value, is_name });
        } else {
            self.simple(place, name, value);
        }
    }

    fn array(&mut self) {
        self.around.array();
    }

    fn too_deep(&mut self) {
        self.limit(Signal::LimitDepth);
    }

    fn ambiguous(&mut self) {
        self.signal(Signal::MultipartAmbiguous, b"");
    }
}

/// What the escapes of a value say.
fn spell(traits: &Traits, place: Place, signals: &mut Signals) {
    if traits.overlong {
        signals.add(Signal::EscapeOverlong);
    }
    if traits.percent_u {
        signals.add(Signal::EscapePercentU);
    }
    if traits.disguised {
        signals.add(Signal::EscapeDisguised);
    }
    if traits.nul {
        signals.add(Signal::EscapeNul);
    }
    let transport = u8::from(matches!(place, Place::Path | Place::Cookie | Place::Referer));
    if traits.layers > 2 + transport {
        signals.add(Signal::EscapeDeep);
    }
}

/// A name as it may be shown.
fn printable(name: &[u8]) -> Box<str> {
    let show = |&b: &u8| if b.is_ascii_graphic() { b as char } else { '?' };
    name.iter().take(64).map(show).collect::<String>().into()
}
