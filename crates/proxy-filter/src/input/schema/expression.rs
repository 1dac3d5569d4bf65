//! Regular expressions of ECMA-262 in linear time, and what they cost.
//!
//! An automaton is made as texts need it, which costs a nanosecond a byte once it is there. A text
//! that is made for it asks for a new state with each byte: then it gives up, and all states are
//! followed at once, which may take a thousand times as long. Both are charged as what they take.

use regex_automata::hybrid::dfa::{self, Cache, DFA};
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{self, NFA};
use regex_automata::util::pool::Pool;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

/// What one expression may take, compiled.
const SIZE: usize = 8 << 20;
/// What is kept of an automaton, for each thread that asks.
const CACHE: usize = 256 << 10;
/// It gives up where a state serves fewer bytes than that, once its place was full.
const BYTES_PER_STATE: usize = 256;

/// Bytes of a text that are one step.
pub(super) const BYTES_PER_STEP: usize = 64;
/// Bytes of new states that take as long as a step.
const STATE_BYTES_PER_STEP: usize = 16;
/// States that are followed over one byte in the time of a step.
const STATES_PER_STEP: usize = 16;

type Caches = Pool<
    Cache,
    Box<dyn Fn() -> Cache + Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>,
>;

pub(super) struct Expression {
    automaton: DFA,
    all_at_once: PikeVM,
    caches: Caches,
}

impl Expression {
    /// As ECMA-262 means it, where that can be had without backtracking.
    ///
    /// # Errors
    /// Why it can not be used.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{pattern:?} is no expression that can be used: {why}");
        if !jsonschema_regex::is_valid_ecma_regex(pattern) {
            return Err(wrong("it is none of ECMA-262"));
        }
        let own = with_escapes(pattern, no_end_of_word);
        let own = jsonschema_regex::to_rust_regex(&own)
            .map_err(|()| wrong("it can not be translated"))?;
        let nfa = NFA::compiler()
            // Where a match would begin or end is not asked: it may be within a character.
            .syntax(syntax::Config::new().utf8(false))
            .configure(thompson::Config::new().utf8(false).nfa_size_limit(Some(SIZE)))
            .build(&with_escapes(&own, of_ascii))
            .map_err(|error| wrong(&causes(&error)))?;
        let config = dfa::Config::new()
            .cache_capacity(CACHE)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(0))
            .minimum_bytes_per_state(Some(BYTES_PER_STATE));
        let automaton = DFA::builder().configure(config).build_from_nfa(nfa.clone());
        let automaton = automaton.map_err(|error| wrong(&causes(&error)))?;
        let all_at_once = PikeVM::new_from_nfa(nfa).map_err(|error| wrong(&causes(&error)))?;
        let of = automaton.clone();
        let caches: Caches = Pool::new(Box::new(move || of.create_cache()));
        Ok(Self { automaton, all_at_once, caches })
    }

    /// Bytes that it takes, compiled.
    pub(super) fn size(&self) -> usize {
        self.automaton.get_nfa().memory_usage()
    }

    /// Whether it matches somewhere in a text; no, where `spend` has not the steps for it.
    pub(super) fn is_match(&self, text: &str, spend: &mut dyn FnMut(usize) -> bool) -> bool {
        if !spend(text.len() / BYTES_PER_STEP) {
            return false;
        }
        let input = Input::new(text).anchored(Anchored::No).earliest(true);
        let mut cache = self.caches.get();
        let before = (cache.clear_count(), cache.memory_usage());
        let found = self.automaton.try_search_fwd(&mut cache, &input);
        let fills = cache.clear_count() - before.0;
        let made = (fills * CACHE + cache.memory_usage()).saturating_sub(before.1);
        if found.is_err() {
            // Full of states that the next text has no use for.
            cache.reset(&self.automaton);
        }
        drop(cache);
        if !spend(made / STATE_BYTES_PER_STEP) {
            return false;
        }
        if let Ok(found) = found {
            return found.is_some();
        }
        let states = self.automaton.get_nfa().states().len();
        spend((text.len() + 1).saturating_mul(states) / STATES_PER_STEP)
            && self.all_at_once.is_match(&mut self.all_at_once.create_cache(), input)
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expression").field("size", &self.size()).finish_non_exhaustive()
    }
}

/// The pattern with other texts for some of the characters that a backslash stands before.
fn with_escapes(pattern: &str, other: impl Fn(char) -> Option<&'static str>) -> String {
    let mut own = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        let escaped = if c == '\\' { rest.next() } else { None };
        match (escaped.and_then(&other), escaped) {
            (Some(other), _) => own.push_str(other),
            (None, Some(escaped)) => own.extend([c, escaped]),
            (None, None) => own.push(c),
        }
    }
    own
}

/// Characters like any other there; here they are the ends of words.
fn no_end_of_word(escaped: char) -> Option<&'static str> {
    match escaped {
        '<' => Some("<"),
        '>' => Some(">"),
        _ => None,
    }
}

/// There they know the words of ASCII only.
fn of_ascii(escaped: char) -> Option<&'static str> {
    match escaped {
        'b' => Some(r"(?-u:\b)"),
        'B' => Some(r"(?-u:\B)"),
        _ => None,
    }
}

/// An error with what it comes from, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
