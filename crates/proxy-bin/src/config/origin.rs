//! Where each value of the merged configuration was written.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::diagnostic::{Diagnostic, Place, Subject};
use super::path::KeyPath;
use super::source::SourceFile;
use super::span::{Node, Spanned};

/// Arrays of tables that several files may add to.
const APPENDED: &[&str] = &["routes"];

/// Where one value was written.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// In a file, by number, with the bytes of its key and of itself, and
    /// whether other files may add to it.
    File { file: usize, key: Range<usize>, value: Range<usize>, open: bool },
    /// Anywhere else.
    Place(Place),
}

/// Where each value was written.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    files: Vec<SourceFile>,
    places: BTreeMap<KeyPath, Origin>,
}

impl Origins {
    /// The place of a value, or of the nearest that it stands in.
    pub fn place(&self, path: &KeyPath, subject: Subject) -> Option<Place> {
        let mut path = path.clone();
        let mut subject = subject;
        loop {
            if let Some(origin) = self.places.get(&path) {
                return Some(self.place_of(origin, subject));
            }
            path = path.parent()?;
            subject = Subject::Value;
        }
    }

    /// The place of exactly this value, if it was written anywhere.
    pub fn exact(&self, path: &KeyPath) -> Option<Place> {
        Some(self.place_of(self.places.get(path)?, Subject::Value))
    }

    /// The folder against which a file named by this value is looked up.
    pub fn folder(&self, path: &KeyPath) -> PathBuf {
        match self.place(path, Subject::Value) {
            Some(Place::File { file, .. }) => file.parent().map(Path::to_owned).unwrap_or_default(),
            _ => PathBuf::new(),
        }
    }

    /// The files that were read.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    /// The same for what was found out about a configuration that was loaded.
    pub fn located(&self, list: Vec<Diagnostic>) -> Vec<Diagnostic> {
        self.locate(list)
    }

    /// Puts its place to each diagnostic that has none.
    pub(super) fn locate(&self, list: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let locate = |diagnostic: Diagnostic| Diagnostic {
            place: diagnostic.place.or_else(|| self.place(&diagnostic.path, diagnostic.subject)),
            ..diagnostic
        };
        list.into_iter().map(locate).collect()
    }

    fn place_of(&self, origin: &Origin, subject: Subject) -> Place {
        match (origin, subject) {
            (Origin::Place(place), _) => place.clone(),
            (Origin::File { file, key, .. }, Subject::Key) => self.files[*file].place(key.start),
            (Origin::File { file, value, .. }, Subject::Value) => {
                self.files[*file].place(value.start)
            }
        }
    }

    /// Notes what a value from outside of files replaces and where it is from.
    pub(super) fn replace(&mut self, path: &KeyPath, value: Option<&Value>, place: &Place) {
        self.places.retain(|known, _| !known.is_within(path));
        let Some(value) = value else { return };
        self.note(path, value, place);
        let mut table = path.parent();
        while let Some(path) = table.filter(|path| !self.places.contains_key(path)) {
            self.places.insert(path.clone(), Origin::Place(place.clone()));
            table = path.parent();
        }
    }

    /// Notes that this part of what a mode, or another option, says is from there.
    pub(super) fn credit(&mut self, path: &KeyPath, place: &Place) {
        for (_, origin) in self.places.iter_mut().filter(|(known, _)| known.is_within(path)) {
            if let Origin::Place(before @ (Place::BuiltIn(_) | Place::CommandLine(_))) = origin {
                before.clone_from(place);
            }
        }
    }

    /// Notes the places of a tree that is laid over what is there.
    pub(super) fn note(&mut self, path: &KeyPath, value: &Value, place: &Place) {
        self.places.insert(path.clone(), Origin::Place(place.clone()));
        match value {
            Value::Object(table) => {
                table.iter().for_each(|(key, value)| self.note(&path.key(key), value, place));
            }
            Value::Array(items) => {
                let items = items.iter().enumerate();
                items.for_each(|(index, item)| self.note(&path.index(index), item, place));
            }
            _ => {}
        }
    }

    /// Notes the places of a file; errors for what another file says as well.
    pub(super) fn add(&mut self, file: SourceFile) -> Vec<Diagnostic> {
        let tree = file.tree.clone();
        let number = self.files.len();
        self.files.push(file);
        let mut adding = Adding { origins: self, file: number, errors: Vec::new() };
        adding.value(&KeyPath::root(), 0..0, &tree);
        adding.errors
    }

    /// How many elements of an array are known.
    fn length(&self, path: &KeyPath) -> usize {
        (0..).take_while(|index| self.places.contains_key(&path.index(*index))).count()
    }
}

struct Adding<'a> {
    origins: &'a mut Origins,
    file: usize,
    errors: Vec<Diagnostic>,
}

impl Adding<'_> {
    fn value(&mut self, path: &KeyPath, key: Range<usize>, tree: &Spanned) {
        let appended = APPENDED.iter().any(|keys| *path == KeyPath::of(keys));
        let open = appended || matches!(tree.node, Node::Table(_));
        if let Some(before @ Origin::File { open: was_open, .. }) = self.origins.places.get(path)
            && !(open && *was_open)
        {
            let before = self.origins.place_of(before, Subject::Value);
            let place = self.origins.files[self.file].place(tree.span.start);
            let message = format!("set in two files; the other is {before}");
            self.errors.push(Diagnostic::error(path, message).at(place));
            return;
        }
        let first = if appended { self.origins.length(path) } else { 0 };
        let origin = Origin::File { file: self.file, key, value: tree.span.clone(), open };
        self.origins.places.entry(path.clone()).or_insert(origin);
        match &tree.node {
            Node::Table(entries) => {
                for entry in entries {
                    self.value(&path.key(&entry.key), entry.span.clone(), &entry.value);
                }
            }
            Node::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(&path.index(first + index), item.span.clone(), item);
                }
            }
            Node::Scalar(_) => {}
        }
    }
}
