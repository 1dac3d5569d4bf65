//! Rules compiled: one search for all literals, and expressions that run only where one of
//! their literals stands.

use regex::bytes::{Regex, RegexBuilder};

use super::literals::Literals;
use super::{Rule, RuleError, RuleSet, Test};
use crate::inspect::detect::{Signal, Signals};
use crate::inspect::kinds::{Kinds, OneOf};
use crate::inspect::steps::steps;
use crate::inspect::value::Value;

/// Which rules matched, or may match, a value.
#[derive(Clone, Debug, Default)]
pub(in crate::inspect) struct RuleBits(Vec<u64>);

impl RuleBits {
    fn clear(&mut self, rules: usize) {
        self.0.clear();
        self.0.resize(rules.div_ceil(64), 0);
    }

    fn set(&mut self, rule: usize) {
        self.0[rule / 64] |= 1 << (rule % 64);
    }

    fn unset(&mut self, rule: usize) {
        self.0[rule / 64] &= !(1 << (rule % 64));
    }

    fn has(&self, rule: usize) -> bool {
        self.0[rule / 64] & 1 << (rule % 64) != 0
    }

    /// The numbers of the rules in the set.
    pub(in crate::inspect) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(word, &bits)| {
            std::iter::successors((bits != 0).then_some(bits), |b| {
                let rest = b & (b - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |bits| word * 64 + bits.trailing_zeros() as usize)
        })
    }
}

/// A set of rules, compiled.
#[derive(Debug)]
pub(in crate::inspect) struct Matcher {
    rules: Vec<Rule>,
    finder: Literals,
    /// The literals of one byte.
    ones: Vec<(u8, usize)>,
    ones_kinds: OneOf,
    /// For each literal the rules that wait for it, and how it must stand.
    literals: Vec<Literal>,
    expressions: Vec<Option<Regex>>,
    signals: Vec<Vec<u16>>,
}

#[derive(Clone, Debug)]
struct Literal {
    rules: Vec<u16>,
    /// For words: whether the bytes before and after must not be of a word.
    word: Option<(bool, bool)>,
    /// Whether nothing but white space may follow.
    at_end: bool,
}

/// How the literals of a rule stand.
#[derive(Clone, Copy, PartialEq)]
enum Stands {
    Anywhere,
    AtEnd,
    AsWord,
}

impl Matcher {
    /// Compiles a set.
    ///
    /// # Errors
    /// Where an expression does not compile, or is too large.
    pub(in crate::inspect) fn compile(set: RuleSet) -> Result<Self, RuleError> {
        let rules = set.rules;
        let mut texts: Vec<Vec<u8>> = Vec::new();
        let mut literals: Vec<Literal> = Vec::new();
        let mut expressions = Vec::new();
        let mut signals = vec![Vec::new(); Signal::ALL.len()];
        for (number, rule) in rules.iter().enumerate() {
            let mut expression = None;
            match &rule.test {
                Test::Regex { any, at_end, expression: text } => {
                    let stands = if *at_end { Stands::AtEnd } else { Stands::Anywhere };
                    for literal in any {
                        add(&mut texts, &mut literals, literal, number as u16, stands);
                    }
                    expression = Some(
                        RegexBuilder::new(text)
                            .unicode(false)
                            .case_insensitive(true)
                            .size_limit(1 << 20)
                            .dfa_size_limit(1 << 20)
                            .build()
                            .map_err(|error| RuleError::new(&rule.id, error.to_string()))?,
                    );
                }
                Test::Words(words) => {
                    for word in words {
                        add(&mut texts, &mut literals, word, number as u16, Stands::AsWord);
                    }
                }
                Test::Signal(signal) => signals[*signal as usize].push(number as u16),
            }
            expressions.push(expression);
        }
        let one = |(number, text): (usize, &Vec<u8>)| match text[..] {
            [one] => Some((one, number)),
            _ => None,
        };
        let ones: Vec<_> = texts.iter().enumerate().filter_map(one).collect();
        Ok(Self {
            rules,
            finder: Literals::new(&texts),
            ones_kinds: ones.iter().map(|(one, _)| *one).collect(),
            ones,
            literals,
            expressions,
            signals,
        })
    }

    /// The rules, in their order.
    pub(in crate::inspect) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(in crate::inspect) fn rule(&self, number: usize) -> &Rule {
        &self.rules[number]
    }

    /// Which rules match a normalised value that has these kinds of bytes, given what the readers of
    /// grammars say of it. Gives whether there are any.
    ///
    /// One pass for the literals and at most one of each expression: linear in the value.
    pub(in crate::inspect) fn matches(
        &self,
        value: &Value<'_>,
        kinds: Kinds,
        signals: Signals,
        bits: &mut RuleBits,
    ) -> bool {
        let mut any = false;
        let mut cleared = false;
        let text = value.bytes;
        let mut found = |literal: usize, start: usize, end: usize| {
            let literal = &self.literals[literal];
            if let Some((before, after)) = literal.word
                && (before && start > 0 && is_word(text[start - 1])
                    || after && text.get(end).is_some_and(|&b| is_word(b)))
            {
                return;
            }
            if literal.at_end && !text[end..].iter().all(u8::is_ascii_whitespace) {
                return;
            }
            for &number in &literal.rules {
                if self.rules[usize::from(number)].is_about(value.place, value.is_name) {
                    if !cleared {
                        bits.clear(self.rules.len());
                        cleared = true;
                    }
                    bits.set(usize::from(number));
                    any = true;
                }
            }
        };
        self.finder.find(text, &mut found);
        let ones = if kinds.may_have_one_of(self.ones_kinds) { &self.ones[..] } else { &[] };
        for (one, number) in ones {
            if kinds.may_have(*one) {
                steps(text.len());
                self.one(*one, *number, text, &mut found);
            }
        }
        if any {
            any = self.confirm(value, bits);
        }
        if !signals.is_empty() {
            if !cleared {
                bits.clear(self.rules.len());
            }
            for signal in signals.iter() {
                for &number in &self.signals[signal as usize] {
                    if self.rules[usize::from(number)].is_about(value.place, value.is_name) {
                        bits.set(usize::from(number));
                        any = true;
                    }
                }
            }
        }
        any
    }

    /// Says where a literal of one byte stands: nowhere but at its last place, where it matters
    /// only that it is there, or what follows it.
    fn one(
        &self,
        one: u8,
        number: usize,
        text: &[u8],
        found: &mut impl FnMut(usize, usize, usize),
    ) {
        let last = match one.is_ascii_lowercase() {
            true => memchr::memrchr2(one, one.to_ascii_uppercase(), text),
            false => memchr::memrchr(one, text),
        };
        let Some(last) = last else { return };
        if self.literals[number].word.is_none() {
            return found(number, last, last + 1);
        }
        for at in (0..=last).filter(|&at| text[at].eq_ignore_ascii_case(&one)) {
            found(number, at, at + 1);
        }
    }

    /// Tries the expressions of the candidates.
    fn confirm(&self, value: &Value<'_>, bits: &mut RuleBits) -> bool {
        let mut any = false;
        for word in 0..bits.0.len() {
            let mut rest = bits.0[word];
            while rest != 0 {
                let number = word * 64 + rest.trailing_zeros() as usize;
                rest &= rest - 1;
                steps(value.bytes.len());
                match &self.expressions[number] {
                    Some(expression) if !expression.is_match(value.bytes) => bits.unset(number),
                    _ => any = true,
                }
            }
        }
        debug_assert!(any || (0..self.rules.len()).all(|rule| !bits.has(rule)));
        any
    }
}

fn add(
    texts: &mut Vec<Vec<u8>>,
    literals: &mut Vec<Literal>,
    text: &str,
    rule: u16,
    stands: Stands,
) {
    let text = text.to_ascii_lowercase().into_bytes();
    let at_end = stands == Stands::AtEnd;
    let word = (stands == Stands::AsWord)
        .then(|| (is_word(*text.first().unwrap_or(&b' ')), is_word(*text.last().unwrap_or(&b' '))));
    match texts.iter().position(|t| *t == text) {
        Some(at) if literals[at].word == word && literals[at].at_end == at_end => {
            if !literals[at].rules.contains(&rule) {
                literals[at].rules.push(rule);
            }
        }
        _ => {
            literals.push(Literal { rules: vec![rule], word, at_end });
            texts.push(text);
        }
    }
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::value::Place;

    fn matched(rules: &str, text: &str) -> bool {
        let mut set = RuleSet::default();
        let head = "[[rule]]\nid='a'\nclass='sqli'\nscore=5\nreason='r'\n";
        set.add("test", &format!("{head}{rules}")).expect("rules");
        let matcher = Matcher::compile(set).expect("rules");
        let value =
            Value { place: Place::Query, name: b"", bytes: text.as_bytes(), is_name: false };
        let kinds = Kinds::of(value.bytes);
        matcher.matches(&value, kinds, Signals::default(), &mut RuleBits::default())
    }

    #[test]
    fn words_stand_alone() {
        for (word, text, expected) in [
            ("cat", "a cat sat", true),
            ("cat", "CAT", true),
            ("cat", "concat", false),
            ("cat", "cats", false),
            ("cat(", "cat(x", true),
            ("x", "ax X bx", true),
            ("x", "ax xb", false),
            ("(", "a(b", true),
            ("@@version", "x@@version", true),
            ("@@version", "@@versions", false),
        ] {
            assert_eq!(matched(&format!("words=['{word}']"), text), expected, "{word} in {text}");
        }
    }

    #[test]
    fn expressions_wait_for_their_literals() {
        assert!(matched("any=['ab']\nregex='a+b+c'", "xABC"));
        assert!(!matched("any=['ab']\nregex='a+b+c'", "abd"));
        // The literal is the gate, whatever the expression says.
        assert!(!matched("any=['zz']\nregex='a'", "a"));
    }

    #[test]
    fn at_the_end() {
        let rule = "any=['(']\nat_end=true\nregex='a'";
        assert!(matched(rule, "a (b("));
        assert!(matched(rule, "a ( \n"));
        assert!(!matched(rule, "a (b"));
    }

    #[test]
    fn places() {
        assert!(!matched("in=['cookie']\nwords=['x']", "x"));
        assert!(matched("in=['query']\nwords=['x']", "x"));
        assert!(!matched("of='names'\nwords=['x']", "x"));
    }

    #[test]
    fn bits() {
        let mut bits = RuleBits::default();
        bits.clear(200);
        for n in [0, 63, 64, 199] {
            bits.set(n);
        }
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, 64, 199]);
    }
}
