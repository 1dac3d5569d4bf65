//! A file of requests and expectations.

use std::fs;
use std::path::{Path, PathBuf};

use super::expectation::Expected;
use super::table::Reading;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::config::path::KeyPath;
use crate::config::plain;
use crate::config::source::{SourceFile, parse};
use crate::config::span::{Node, Spanned, SyntaxError, position};
use crate::explain::Question;

/// The keys of a file.
const FILE_KEYS: [&str; 3] = ["config", "defaults", "tests"];
/// The keys of one of `[[tests]]`.
const CASE_KEYS: [&str; 7] = ["name", "request", "listener", "peer", "from", "fields", "expect"];
/// Those that `[defaults]` may have.
const DEFAULT_KEYS: [&str; 4] = ["listener", "peer", "from", "fields"];

/// A file of requests and expectations.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The configuration that it is about; it is named relative to the file.
    pub config: Option<PathBuf>,
    /// At least one.
    pub cases: Vec<Case>,
}

/// A request and what is expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its name; the request where it has none.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// The request, and how it arrives.
    pub question: Question,
    /// What is expected; at least one thing.
    pub expected: Vec<Expected>,
}

impl Suite {
    /// Reads a file: TOML, or JSON by its ending.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        let text = fs::read_to_string(path).map_err(|error| {
            Diagnostics::message(format!("cannot read {}: {}", path.display(), plain(&error)))
        })?;
        let tree = parse(path, &text).map_err(|errors| {
            let located = |error: SyntaxError| {
                let (line, column) = position(&text, error.offset);
                let place = Place::File { file: path.to_owned(), line, column };
                Diagnostic::error(&KeyPath::root(), error.message).at(place)
            };
            Diagnostics::from(errors.into_iter().map(located).collect::<Vec<_>>())
        })?;
        let file = SourceFile { path: path.to_owned(), text, tree };
        let mut reading = Reading::new(&file);
        let suite = Self::of(&file, &mut reading);
        match reading.found.is_empty() {
            true => Ok(suite),
            false => Err(reading.found.into()),
        }
    }

    fn of(file: &SourceFile, reading: &mut Reading<'_>) -> Self {
        let root = KeyPath::root();
        let mut suite = Self { path: file.path.clone(), config: None, cases: Vec::new() };
        let mut defaults = Question::default();
        let mut cases: &[Spanned] = &[];
        for entry in reading.table(&root, &file.tree, &FILE_KEYS) {
            let path = root.key(&entry.key);
            match entry.key.as_str() {
                "config" => {
                    let folder = file.path.parent().unwrap_or(Path::new(""));
                    suite.config =
                        reading.text(&path, &entry.value).map(|config| folder.join(config));
                }
                "defaults" => {
                    for entry in reading.table(&path, &entry.value, &DEFAULT_KEYS) {
                        arrival(reading, &path, &entry.key, &entry.value, &mut defaults);
                    }
                }
                _ => cases = reading.array(&path, &entry.value),
            }
        }
        if cases.is_empty() && reading.found.is_empty() {
            reading.error(&root.key("tests"), 0, "there is none; write at least one `[[tests]]`");
        }
        for (index, tree) in cases.iter().enumerate() {
            let path = root.key("tests").index(index);
            let place = file.place(tree.span.start);
            suite.cases.extend(case(reading, &path, tree, place, &defaults));
        }
        suite
    }
}

fn case(
    reading: &mut Reading<'_>,
    path: &KeyPath,
    tree: &Spanned,
    place: Place,
    defaults: &Question,
) -> Option<Case> {
    let mut question = defaults.clone();
    let (mut name, mut expected) = (None, None);
    for entry in reading.table(path, tree, &CASE_KEYS) {
        let (inner, value) = (path.key(&entry.key), &entry.value);
        match entry.key.as_str() {
            "name" => name = reading.text(&inner, value),
            "request" => {
                let Some(text) = reading.text(&inner, value) else { continue };
                let mut words = text.split_ascii_whitespace();
                match (words.next(), words.next(), words.next()) {
                    (Some(method), Some(url), None) => {
                        question.method = method.to_owned();
                        question.url = url.to_owned();
                        if let Err(error) = question.check() {
                            reading.error(&inner, value.span.start, error.to_string());
                        }
                    }
                    _ => {
                        let message = format!("expected \"METHOD URL\", found \"{text}\"");
                        reading.error(&inner, value.span.start, message);
                    }
                }
            }
            "expect" => expected = Some(Expected::read(reading, &inner, value)),
            key => arrival(reading, path, key, value, &mut question),
        }
    }
    if question.method.is_empty() && !has(tree, "request") {
        reading.error(
            &path.key("request"),
            tree.span.start,
            "missing key; expected \"METHOD URL\"",
        );
    }
    if expected.is_none() {
        let message = "missing key; expected a table such as { status = 403 }";
        reading.error(&path.key("expect"), tree.span.start, message);
    }
    let name = name.unwrap_or_else(|| format!("{} {}", question.method, question.url));
    Some(Case { name, place, question, expected: expected? })
}

fn has(tree: &Spanned, key: &str) -> bool {
    match &tree.node {
        Node::Table(entries) => entries.iter().any(|entry| entry.key == key),
        _ => true,
    }
}

/// How a request arrives. Fields of a test follow those of the defaults.
fn arrival(
    reading: &mut Reading<'_>,
    path: &KeyPath,
    key: &str,
    value: &Spanned,
    question: &mut Question,
) {
    let path = path.key(key);
    match key {
        "listener" => question.listener = reading.text(&path, value),
        "peer" => question.peer = reading.parsed(&path, value, "an address"),
        "from" => question.from = reading.parsed(&path, value, "an address"),
        _ => {
            let fields = reading.texts(&path, value);
            let (method, url) = ("GET".to_owned(), "/".to_owned());
            let asked = Question { method, url, fields: fields.clone(), ..Question::default() };
            if let Err(error) = asked.check() {
                reading.error(&path, value.span.start, error.to_string());
            }
            question.fields.extend(fields);
        }
    }
}
