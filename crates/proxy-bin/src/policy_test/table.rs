//! Reads a table whose keys are known, and says what is wrong with it, all at once.

use serde_json::Value;

use crate::config::diagnostic::Diagnostic;
use crate::config::path::KeyPath;
use crate::config::source::SourceFile;
use crate::config::span::{Entry, Node, Spanned};
use crate::config::suggest::nearest;

/// What is wrong, gathered while a file is read.
pub(super) struct Reading<'a> {
    file: &'a SourceFile,
    pub(super) found: Vec<Diagnostic>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(file: &'a SourceFile) -> Self {
        Self { file, found: Vec::new() }
    }

    /// Something is wrong at an offset.
    pub(super) fn error(&mut self, path: &KeyPath, offset: usize, message: impl Into<String>) {
        let place = self.file.place(offset);
        self.found.push(Diagnostic::error(path, message).at(place));
    }

    /// The entries of a table, without those that it may not have.
    pub(super) fn table<'t>(
        &mut self,
        path: &KeyPath,
        tree: &'t Spanned,
        keys: &[&str],
    ) -> Vec<&'t Entry> {
        let Node::Table(entries) = &tree.node else {
            self.error(path, tree.span.start, "expected a table");
            return Vec::new();
        };
        let (known, unknown): (Vec<&Entry>, Vec<&Entry>) =
            entries.iter().partition(|entry| keys.contains(&entry.key.as_str()));
        for entry in unknown {
            let message = match nearest(&entry.key, keys.iter().copied()) {
                Some(near) => format!("unknown key; did you mean `{near}`?"),
                None => format!("unknown key; expected one of `{}`", keys.join("`, `")),
            };
            self.error(&path.key(&entry.key), entry.span.start, message);
        }
        known
    }

    /// The elements of an array.
    pub(super) fn array<'t>(&mut self, path: &KeyPath, tree: &'t Spanned) -> &'t [Spanned] {
        match &tree.node {
            Node::Array(items) => items,
            _ => {
                self.error(path, tree.span.start, "expected an array");
                &[]
            }
        }
    }

    /// Text.
    pub(super) fn text(&mut self, path: &KeyPath, tree: &Spanned) -> Option<String> {
        match &tree.node {
            Node::Scalar(Value::String(text)) => Some(text.clone()),
            _ => {
                self.error(path, tree.span.start, "expected a string");
                None
            }
        }
    }

    /// Texts, of which one may stand without an array.
    pub(super) fn texts(&mut self, path: &KeyPath, tree: &Spanned) -> Vec<String> {
        if let Node::Scalar(_) = tree.node {
            return self.text(path, tree).into_iter().collect();
        }
        let items = self.array(path, tree).iter().enumerate();
        let text = |(index, item)| self.text(&path.index(index), item);
        items.filter_map(text).collect()
    }

    /// Text that another type is read from.
    pub(super) fn parsed<T: std::str::FromStr>(
        &mut self,
        path: &KeyPath,
        tree: &Spanned,
        expected: &str,
    ) -> Option<T> {
        let text = self.text(path, tree)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.error(path, tree.span.start, format!("expected {expected}, found \"{text}\""));
        }
        parsed
    }
}
