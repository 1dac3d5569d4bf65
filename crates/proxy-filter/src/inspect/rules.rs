//! Rules as data.
//!
//! A file of rules is TOML:
//!
//! ```toml
//! [[rule]]
//! id = "java-class-loader"
//! class = "java"
//! score = 5
//! reason = "reaches for the class loader"
//! tags = ["CWE-94"]
//! any = ["classloader"]
//! regex = 'class\.(?:module\.)?classloader'
//! ```
//!
//! A rule has exactly one of
//! - `regex` (of the `regex` crate: linear time, no look-around, case ignored, bytes) with `any`,
//!   literals of which one must stand in the value (with `at_end = true`, at its end, but for white
//!   space): only then is the expression tried;
//! - `words`: literals that must not touch a letter, digit or underscore on the sides where they
//!   have one themselves;
//! - `signal`: what a reader of a grammar, or the engine itself, says.
//!
//! `in` names the places it is about (default: all values), `of` whether it is about `values`,
//! `names` or `both` (the default). `except` names parameters it is not about, `only` those that it
//! is about alone; a star at the beginning or end of a name stands for anything.
//!
//! `quoted` is what a match scores in a document (see `document.rs`), where code is rather quoted
//! than injected; by default the same as elsewhere. What counts in full there is evidence of a place
//! that was left: the end of a string, an attribute, a comment that cuts off the rest.

mod literals;
mod matcher;

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;

pub(super) use matcher::{Matcher, RuleBits};

use super::detect::Signal;
use super::value::{Place, Places};
use super::verdict::Class;

/// The built-in rules, a file for each class or two.
const BUILT_IN: &[(&str, &str)] = &[
    ("sqli", include_str!("../../rules/sqli.toml")),
    ("xss", include_str!("../../rules/xss.toml")),
    ("path", include_str!("../../rules/path.toml")),
    ("command", include_str!("../../rules/command.toml")),
    ("php", include_str!("../../rules/php.toml")),
    ("java", include_str!("../../rules/java.toml")),
    ("code", include_str!("../../rules/code.toml")),
    ("query-languages", include_str!("../../rules/query-languages.toml")),
    ("remote", include_str!("../../rules/remote.toml")),
    ("protocol", include_str!("../../rules/protocol.toml")),
];

/// The built-in rules about responses.
const RESPONSES: &str = include_str!("../../rules/response.toml");

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its id: lower case letters, digits and dashes, unique in its set.
    pub id: Arc<str>,
    /// The class of attack.
    pub class: Class,
    /// What a match scores; 0 only reports.
    pub score: u16,
    /// One line that says why a match is suspicious.
    pub reason: Arc<str>,
    /// Free words, such as a CWE number.
    pub tags: Vec<String>,
    /// What a match scores in a document, where code is rather quoted than injected.
    pub quoted: u16,
    places: Places,
    values: bool,
    names: bool,
    except: Vec<String>,
    only: Vec<String>,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Regex { any: Vec<String>, at_end: bool, expression: String },
    Words(Vec<String>),
    Signal(Signal),
}

/// A set of rules.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
}

/// What is wrong with a rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The file is no TOML of the form above.
    #[error("rules `{file}`: {error}")]
    Syntax {
        /// The name of the file.
        file: String,
        /// What the parser says, with line and column.
        error: toml::de::Error,
    },
    /// A rule is not what a rule must be.
    #[error("rule `{id}`: {what}")]
    Rule {
        /// The id of the rule.
        id: String,
        /// What it should be.
        what: String,
    },
}

impl RuleError {
    fn new(id: &str, what: impl Into<String>) -> Self {
        Self::Rule { id: id.into(), what: what.into() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    rule: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    id: String,
    class: Class,
    score: u16,
    reason: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(rename = "in")]
    places: Option<Vec<Place>>,
    #[serde(default)]
    of: Of,
    regex: Option<String>,
    #[serde(default)]
    any: Vec<String>,
    #[serde(default)]
    at_end: bool,
    words: Option<Vec<String>>,
    signal: Option<Signal>,
    quoted: Option<u16>,
    #[serde(default)]
    except: Vec<String>,
    #[serde(default)]
    only: Vec<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Of {
    #[default]
    Both,
    Values,
    Names,
}

impl RuleSet {
    /// The rules that are built in.
    ///
    /// # Errors
    /// None in a build whose tests pass.
    pub fn built_in() -> Result<Self, RuleError> {
        let mut set = Self::default();
        for (name, text) in BUILT_IN {
            set.add(name, text)?;
        }
        Ok(set)
    }

    /// The built-in rules about responses.
    ///
    /// # Errors
    /// None in a build whose tests pass.
    pub(super) fn of_responses() -> Result<Self, RuleError> {
        let mut set = Self::default();
        set.add("response", RESPONSES)?;
        Ok(set)
    }

    /// Adds the rules of a file; `name` stands in errors.
    ///
    /// # Errors
    /// Where the text is no file of rules, or an id stands twice.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), RuleError> {
        let file: FileText =
            toml::from_str(text).map_err(|error| RuleError::Syntax { file: name.into(), error })?;
        let mut seen: HashSet<Arc<str>> = self.rules.iter().map(|r| Arc::clone(&r.id)).collect();
        for text in file.rule {
            let rule = Rule::read(text)?;
            if !seen.insert(Arc::clone(&rule.id)) {
                return Err(RuleError::new(&rule.id, "has an id that another rule has"));
            }
            self.rules.push(rule);
        }
        Ok(())
    }

    /// The rules, in the order they were added.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl Rule {
    fn read(text: RuleText) -> Result<Self, RuleError> {
        let id = text.id;
        let is_id = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if id.is_empty() || !id.bytes().all(is_id) {
            return Err(RuleError::new(&id, "needs an id of lower case letters, digits, dashes"));
        }
        if text.reason.is_empty() || text.reason.contains('\n') {
            return Err(RuleError::new(&id, "needs a reason of one line"));
        }
        let test = match (text.regex, text.words, text.signal) {
            (Some(expression), None, None) => {
                if text.any.iter().all(String::is_empty) {
                    return Err(RuleError::new(&id, "has a regex, which needs literals in `any`"));
                }
                Test::Regex { any: text.any, at_end: text.at_end, expression }
            }
            (None, Some(words), None) if !words.iter().any(String::is_empty) => Test::Words(words),
            (None, None, Some(signal)) => Test::Signal(signal),
            _ => return Err(RuleError::new(&id, "needs one of `regex`, `words` and `signal`")),
        };
        Ok(Self {
            id: id.into(),
            class: text.class,
            score: text.score,
            reason: text.reason.into(),
            tags: text.tags,
            places: text.places.map_or(Places::VALUES, |p| p.into_iter().collect()),
            values: text.of != Of::Names,
            names: text.of != Of::Values,
            quoted: text.quoted.unwrap_or(text.score),
            except: text.except,
            only: text.only,
            test,
        })
    }

    /// Whether the rule is not about a parameter of this name.
    pub(super) fn excepts(&self, name: &[u8]) -> bool {
        let is = |names: &[String]| names.iter().any(|n| fits(n.as_bytes(), name));
        is(&self.except) || !self.only.is_empty() && !is(&self.only)
    }

    /// Whether the rule is about such a value.
    pub(super) fn is_about(&self, place: Place, is_name: bool) -> bool {
        self.places.has(place) && if is_name { self.names } else { self.values }
    }
}

/// Whether a name is the one that is meant, with a star for anything at its beginning or end.
fn fits(meant: &[u8], name: &[u8]) -> bool {
    let (any_before, meant) = meant.strip_prefix(b"*").map_or((false, meant), |rest| (true, rest));
    let (any_behind, meant) = meant.strip_suffix(b"*").map_or((false, meant), |rest| (true, rest));
    let is = |part: Option<&[u8]>| part.is_some_and(|part| part.eq_ignore_ascii_case(meant));
    let length = meant.len();
    match (any_before, any_behind) {
        (false, false) => name.eq_ignore_ascii_case(meant),
        (false, true) => is(name.get(..length)),
        (true, false) => is(name.len().checked_sub(length).and_then(|start| name.get(start..))),
        (true, true) => length == 0 || name.windows(length).any(|part| is(Some(part))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        RuleSet::default().add("test", text).expect_err("an error").to_string()
    }

    #[test]
    fn the_built_in_rules_are_rules() {
        let set = RuleSet::built_in().expect("rules");
        assert!(set.rules().len() > 50);
        Matcher::compile(set).expect("expressions");
    }

    #[test]
    fn names_fit() {
        for (meant, name, expected) in [
            ("path", "PATH", true),
            ("path", "paths", false),
            ("*path", "root_path", true),
            ("*path", "path", true),
            ("*path", "pat", false),
            ("path*", "path_x", true),
            ("path*", "a_path", false),
            ("*path*", "a[path][b]", true),
            ("*path*", "a[b]", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(meant.as_bytes(), name.as_bytes()), expected, "{meant} {name}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let head = "[[rule]]\nid='a'\nclass='sqli'\nscore=5\nreason='r'\n";
        assert!(error("[[rule]]\nid='a'").contains("test"));
        assert!(error(&format!("{head}regex='x'")).contains("`any`"));
        assert!(error(head).contains("needs one of"));
        assert!(error(&format!("{head}words=['x']\n{head}words=['y']")).contains("another"));
        assert!(error(&head.replace("'a'", "'A b'")).contains("lower case"));
        assert!(error(&format!("{head}word=['x']")).contains("unknown field"));
        let mut set = RuleSet::default();
        set.add("test", &format!("{head}any=['x']\nregex='x(?=y)'")).expect("syntax");
        assert!(Matcher::compile(set).expect_err("look-ahead").to_string().contains("rule `a`"));
    }
}
