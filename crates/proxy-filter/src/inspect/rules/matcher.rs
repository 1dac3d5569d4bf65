//! Rules compiled: one search for all literals, and expressions that run only where one of
//! their literals stands.

use std::collections::HashMap;

use regex::bytes::{Regex, RegexBuilder};

use super::literals::{self, Literals};
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

/// The most rules of a set.
const RULES: usize = u16::MAX as usize;

/// The literals of all rules, each once for each way it may stand.
#[derive(Default)]
struct Collected {
    texts: Vec<Vec<u8>>,
    literals: Vec<Literal>,
    numbers: HashMap<(Vec<u8>, Stands), usize>,
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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Stands {
    Anywhere,
    AtEnd,
    AsWord,
}

impl Matcher {
    /// Compiles a set.
    ///
    /// # Errors
    /// Where an expression does not compile, or is too large, and where there are more rules or
    /// literals than can be told apart, or a literal is too long.
    pub(in crate::inspect) fn compile(set: RuleSet) -> Result<Self, RuleError> {
        let rules = set.rules;
        let mut all = Collected::default();
        let mut expressions = Vec::new();
        let mut signals = vec![Vec::new(); Signal::ALL.len()];
        for (number, rule) in rules.iter().enumerate() {
            if number >= RULES {
                let what = format!("is one more than the {RULES} rules that a set may have");
                return Err(RuleError::new(&rule.id, what));
            }
            let mut expression = None;
            match &rule.test {
                Test::Regex { any, at_end, expression: text } => {
                    let stands = if *at_end { Stands::AtEnd } else { Stands::Anywhere };
                    for literal in any {
                        all.add(rule, literal, number as u16, stands)?;
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
                        all.add(rule, word, number as u16, Stands::AsWord)?;
                    }
                }
                Test::Signal(signal) => signals[*signal as usize].push(number as u16),
            }
            expressions.push(expression);
        }
        let Collected { texts, literals, .. } = all;
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

impl Collected {
    /// Adds a literal that a rule waits for.
    fn add(
        &mut self,
        rule: &Rule,
        text: &str,
        number: u16,
        stands: Stands,
    ) -> Result<(), RuleError> {
        let text = text.to_ascii_lowercase().into_bytes();
        if text.len() > literals::LONGEST {
            let what = format!("has a literal of more than {} bytes", literals::LONGEST);
            return Err(RuleError::new(&rule.id, what));
        }
        if let Some(&at) = self.numbers.get(&(text.clone(), stands)) {
            let rules = &mut self.literals[at].rules;
            if !rules.contains(&number) {
                rules.push(number);
            }
            return Ok(());
        }
        if self.texts.len() == literals::MOST {
            let what = format!(
                "has a literal beyond the {} different ones that the rules of a set may have",
                literals::MOST
            );
            return Err(RuleError::new(&rule.id, what));
        }
        let ends = |b: Option<&u8>| b.is_some_and(|&b| is_word(b));
        let word = (stands == Stands::AsWord).then(|| (ends(text.first()), ends(text.last())));
        let at_end = stands == Stands::AtEnd;
        self.literals.push(Literal { rules: vec![number], word, at_end });
        self.numbers.insert((text.clone(), stands), self.texts.len());
        self.texts.push(text);
        Ok(())
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

    /// What is said of a set of so many rules of so many literals each, all different.
    fn error(rules: usize, literals: usize) -> Option<String> {
        let mut text = String::new();
        for rule in 0..rules {
            let words: Vec<String> = (0..literals).map(|n| format!("'w{rule}x{n}'")).collect();
            text += &format!(
                "[[rule]]\nid='r{rule}'\nclass='sqli'\nscore=5\nreason='r'\nwords=[{}]\n",
                words.join(",")
            );
        }
        let mut set = RuleSet::default();
        set.add("test", &text).expect("rules");
        Matcher::compile(set).err().map(|error| error.to_string())
    }

    #[test]
    fn too_many_literals_are_an_error() {
        assert_eq!(error(3, 10_922), None);
        let error = error(4, 8192).expect("one too many");
        assert!(error.contains("rule `r3`") && error.contains("32767"), "{error}");
    }

    #[test]
    fn a_literal_too_long_is_an_error() {
        let compile = |length: usize| {
            let mut set = RuleSet::default();
            let word = "x".repeat(length);
            let rule = "[[rule]]\nid='a'\nclass='sqli'\nscore=5\nreason='r'\n";
            set.add("test", &format!("{rule}words=['{word}']")).expect("rules");
            Matcher::compile(set).err().map(|error| error.to_string())
        };
        assert_eq!(compile(255), None);
        assert!(compile(256).expect("an error").contains("rule `a`"));
    }

    #[test]
    fn the_last_of_many_literals_is_found() {
        let words: Vec<String> = (0..32_767).map(|n| format!("'w{n}x'")).collect();
        let rule = format!("words=[{}]", words.join(","));
        assert!(matched(&rule, "a w32766x b"));
        assert!(!matched(&rule, "a w32767x b"));
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
