//! The files of a configuration: the main one and those it includes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Place};
use super::glob;
use super::path::KeyPath;
use super::span::{Entry, Node, Spanned, SyntaxError, position};

/// A file that was read.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// As it was named: by the user, or by the file that includes it.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
    /// What it says, `include` taken out.
    pub tree: Spanned,
}

impl SourceFile {
    /// The place of an offset in it.
    pub fn place(&self, offset: usize) -> Place {
        let (line, column) = position(&self.text, offset);
        Place::File { file: self.path.clone(), line, column }
    }
}

/// Reads a file and what it includes, each before what it includes itself.
pub(super) fn read(path: &Path) -> Result<Vec<SourceFile>, Vec<Diagnostic>> {
    let mut reading = Reading::default();
    match fs::read_to_string(path) {
        Ok(text) => {
            reading.seen.insert(identity(path));
            reading.file(path, text);
        }
        Err(error) => {
            let message = format!("cannot read {}: {}", path.display(), plain(&error));
            reading.errors.push(Diagnostic::error(&KeyPath::root(), message));
        }
    }
    if reading.errors.is_empty() { Ok(reading.files) } else { Err(reading.errors) }
}

/// The message of an error without its number.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    if error.kind() == std::io::ErrorKind::InvalidData && text.contains("UTF-8") {
        return "it is no text in UTF-8".to_owned();
    }
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[derive(Default)]
struct Reading {
    files: Vec<SourceFile>,
    seen: BTreeSet<PathBuf>,
    errors: Vec<Diagnostic>,
}

impl Reading {
    fn file(&mut self, path: &Path, text: String) {
        let tree = match parse(path, &text) {
            Ok(tree) => tree,
            Err(errors) => {
                for error in errors {
                    let (line, column) = position(&text, error.offset);
                    let place = Place::File { file: path.to_owned(), line, column };
                    self.errors.push(Diagnostic::error(&KeyPath::root(), error.message).at(place));
                }
                return;
            }
        };
        let mut file = SourceFile { path: path.to_owned(), text, tree };
        let includes = self.take_includes(&mut file);
        self.files.push(file);
        for (include, place) in includes {
            self.include(path, &include, &place);
        }
    }

    /// Takes `include` out of the file's tree.
    fn take_includes(&mut self, file: &mut SourceFile) -> Vec<(String, Place)> {
        let Node::Table(entries) = &mut file.tree.node else {
            let error = Diagnostic::error(&KeyPath::root(), "expected a table");
            self.errors.push(error.at(file.place(0)));
            return Vec::new();
        };
        let Some(index) = entries.iter().position(|entry| entry.key == "include") else {
            return Vec::new();
        };
        let Entry { value, .. } = entries.remove(index);
        let items = match value.node {
            Node::Array(items) => items,
            node => vec![Spanned { span: value.span, node }],
        };
        let mut includes = Vec::new();
        for item in items {
            let place = file.place(item.span.start);
            match item.node {
                Node::Scalar(serde_json::Value::String(pattern)) => includes.push((pattern, place)),
                _ => {
                    let message = "expected file names such as [\"routes.d/*.toml\"]";
                    let error = Diagnostic::error(&KeyPath::of("include"), message);
                    self.errors.push(error.at(place));
                }
            }
        }
        includes
    }

    fn include(&mut self, from: &Path, pattern: &str, place: &Place) {
        let folder = from.parent().unwrap_or(Path::new(""));
        let fail = |path: &Path, error: &std::io::Error| {
            let message = format!("cannot read {}: {}", path.display(), plain(error));
            Diagnostic::error(&KeyPath::of("include"), message).at(place.clone())
        };
        let paths = match glob::expand(folder, pattern) {
            Ok(paths) => paths,
            Err((path, error)) => {
                self.errors.push(fail(&path, &error));
                return;
            }
        };
        for path in paths {
            if !self.seen.insert(identity(&path)) {
                // A pattern such as `*.toml` also finds the file it stands in.
                continue;
            }
            match fs::read_to_string(&path) {
                Ok(text) => self.file(&path, text),
                Err(error) => self.errors.push(fail(&path, &error)),
            }
        }
    }
}

/// Reads TOML, or JSON by the ending of the path.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Spanned, Vec<SyntaxError>> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => Spanned::from_json(text),
        Some("yaml" | "yml") => Err(vec![SyntaxError {
            offset: 0,
            message: "YAML is not read: write TOML, or JSON in a file that ends in .json"
                .to_owned(),
        }]),
        _ => Spanned::from_toml(text),
    }
}
