//! Regular expressions of ECMA-262 in linear time, and what they cost.
//!
//! An automaton is made as texts need it, which costs a nanosecond a byte once it is there. A text
//! that is made for it asks for a new state with each byte, which may take a thousand times as long:
//! what is made is charged.

use std::panic::{RefUnwindSafe, UnwindSafe};

use regex_automata::Input;
use regex_automata::hybrid::dfa::{self, Cache, DFA};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::pool::Pool;

/// What one expression may take, compiled.
const SIZE: usize = 8 << 20;
/// What is kept of an automaton, for each thread that asks; more where it is large: some states of it.
const CACHE: usize = 2 << 20;
const CACHE_OF_SIZE: usize = 4;

/// Bytes of a text that are one step.
pub(super) const BYTES_PER_STEP: usize = 64;
/// Bytes of new states that take as long as a step.
const STATE_BYTES_PER_STEP: usize = 8;
/// Bytes of a text after which new states are charged.
const BLOCK: usize = 32;

type MakesCache = Box<dyn Fn() -> Cache + Send + Sync + UnwindSafe + RefUnwindSafe>;

pub(super) struct Expression {
    automaton: DFA,
    caches: Pool<Cache, MakesCache>,
    cache_size: usize,
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
        // Where a match begins is not asked.
        let config =
            thompson::Config::new().which_captures(WhichCaptures::None).nfa_size_limit(Some(SIZE));
        let nfa = NFA::compiler().configure(config).build(&with_escapes(&own, of_ascii));
        let nfa = nfa.map_err(|error| wrong(&causes(&error)))?;
        let cache_size = CACHE.max(nfa.memory_usage() * CACHE_OF_SIZE);
        let config = dfa::Config::new().cache_capacity(cache_size);
        let automaton = DFA::builder().configure(config).build_from_nfa(nfa);
        let automaton = automaton.map_err(|error| wrong(&causes(&error)))?;
        let of = automaton.clone();
        let caches = Pool::new(Box::new(move || of.create_cache()) as MakesCache);
        Ok(Self { automaton, caches, cache_size })
    }

    /// Bytes that it takes, compiled.
    pub(super) fn size(&self) -> usize {
        self.automaton.get_nfa().memory_usage()
    }

    /// Whether it matches somewhere in a text; no, where `spend` has not the steps for it.
    pub(super) fn is_match(&self, text: &str, spend: &mut dyn FnMut(usize) -> bool) -> bool {
        let cache = &mut self.caches.get();
        spend(text.len() / BYTES_PER_STEP) && self.search(text, cache, spend) == Some(true)
    }

    /// None where the steps do not suffice.
    fn search(
        &self,
        text: &str,
        cache: &mut Cache,
        spend: &mut dyn FnMut(usize) -> bool,
    ) -> Option<bool> {
        let own = &self.automaton;
        let mut made = self.made(cache);
        let mut state = own.start_state_forward(cache, &Input::new(text)).ok()?;
        for block in text.as_bytes().chunks(BLOCK) {
            let mut found = None;
            for byte in block {
                state = own.next_state(cache, state, *byte).ok()?;
                if state.is_tagged() && (state.is_match() || state.is_dead()) {
                    found = Some(state.is_match());
                    break;
                }
            }
            let before = std::mem::replace(&mut made, self.made(cache));
            if made > before && !spend((made - before) / STATE_BYTES_PER_STEP) {
                return None;
            }
            if found.is_some() {
                return found;
            }
        }
        // A match is seen one byte after its end.
        Some(own.next_eoi_state(cache, state).ok()?.is_match())
    }

    /// Bytes of states that were made so far.
    fn made(&self, cache: &Cache) -> usize {
        cache.clear_count() * self.cache_size + cache.memory_usage()
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

/// There it knows the words of ASCII only.
fn of_ascii(escaped: char) -> Option<&'static str> {
    (escaped == 'b').then_some(r"(?-u:\b)")
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
