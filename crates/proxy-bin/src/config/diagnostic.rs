//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

use super::path::KeyPath;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file; line and column count from 1, the column in characters.
    File {
        /// The file, as it was named.
        file: PathBuf,
        /// The line, 0 where none is known.
        line: usize,
        /// The column, 0 where none is known.
        column: usize,
    },
    /// In this environment variable.
    Environment(String),
    /// In this option on the command line.
    CommandLine(String),
    /// Nowhere: it is what the mode or the program says by itself.
    BuiltIn(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line: 0, .. } => write!(f, "{}", file.display()),
            Self::File { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::CommandLine(option) => write!(f, "command line {option}"),
            Self::BuiltIn(what) => f.write_str(what),
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but probably does not do what was meant.
    Warning,
}

/// Which half of `key = value` it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where it was written, where that is known.
    pub place: Option<Place>,
    /// The value it is about; the root where it is about none.
    pub path: KeyPath,
    /// Which half of it its place is that of.
    pub subject: Subject,
    /// What was expected, what was found, what is the likely fix.
    pub message: String,
}

impl Diagnostic {
    /// An error about the value at a path; its place is found later.
    pub fn error(path: &KeyPath, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place: None,
            path: path.clone(),
            subject: Subject::Value,
            message: message.into(),
        }
    }

    /// A warning about the value at a path; its place is found later.
    pub fn warning(path: &KeyPath, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, message) }
    }

    /// The same about the key.
    #[must_use]
    pub fn on_key(self) -> Self {
        Self { subject: Subject::Key, ..self }
    }

    /// The same with its place.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(match self.severity {
            Severity::Error => "error: ",
            Severity::Warning => "warning: ",
        })?;
        if !self.path.steps().is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong, one line for each, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// One error that is about no value.
    pub fn message(message: impl Into<String>) -> Self {
        Self(vec![Diagnostic::error(&KeyPath::root(), message)])
    }

    /// Sorted: by file, line and column, then by path.
    pub(super) fn sorted(mut list: Vec<Diagnostic>) -> Self {
        let key = |diagnostic: &Diagnostic| match &diagnostic.place {
            Some(Place::File { file, line, column }) => (0, file.clone(), *line, *column),
            Some(_) => (1, PathBuf::new(), 0, 0),
            None => (2, PathBuf::new(), 0, 0),
        };
        list.sort_by_key(key);
        list.dedup();
        Self(list)
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<Vec<Diagnostic>> for Diagnostics {
    fn from(list: Vec<Diagnostic>) -> Self {
        Self::sorted(list)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, diagnostic) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}
