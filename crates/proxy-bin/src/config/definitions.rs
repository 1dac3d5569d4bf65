//! What defines each part of a configuration, as a text to compare: what was not changed is kept
//! when another configuration takes its place.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::path::KeyPath;
use super::raw::Config;

/// The values of a configuration, defaults filled in, with the content of the files that they name.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    value: Arc<Value>,
    files: Arc<[FileDigest]>,
}

/// The SHA-256 of what was read from a file that a value names.
pub(super) type FileDigest = (KeyPath, [u8; 32]);

/// The digest of a file that the value at this path names.
pub(super) fn digest(path: &KeyPath, content: &[u8]) -> FileDigest {
    (path.clone(), Sha256::digest(content).into())
}

impl Definitions {
    pub(super) fn new(config: &Config, files: Vec<FileDigest>) -> Self {
        let value = Arc::new(serde_json::to_value(config).unwrap_or_default());
        Self { value, files: files.into() }
    }

    /// What defines everything below a path. The same text: the same definition.
    pub fn of(&self, path: &KeyPath) -> String {
        let mut text = path.find(&self.value).map(Value::to_string).unwrap_or_default();
        for (at, digest) in self.files.iter().filter(|(at, _)| at.is_within(path)) {
            let _ = write!(text, " {at} ");
            for byte in digest {
                let _ = write!(text, "{byte:02x}");
            }
        }
        text
    }

    /// The same of the entry of a list that has this name under this key.
    pub fn of_named(&self, list: &KeyPath, key: &str, name: &str) -> String {
        let entries = list.find(&self.value).and_then(Value::as_array);
        let at = entries.into_iter().flatten().position(|entry| entry[key] == name);
        // The place is no part of it.
        at.map(|at| {
            let path = list.index(at);
            self.of(&path).replace(&path.to_string(), &list.to_string())
        })
        .unwrap_or_default()
    }

    /// The paths of values, and of files, that the other one has otherwise.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        differences(&self.value, &other.value, &KeyPath::root(), &mut found);
        for (path, digest) in self.files.iter() {
            let theirs = other.files.iter().find(|(at, _)| at == path);
            if theirs.is_some_and(|(_, theirs)| theirs != digest) {
                found.push(Difference { path: path.clone(), kind: DifferenceKind::FileChanged });
            }
        }
        found
    }
}

/// A value that two configurations do not have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where it is.
    pub path: KeyPath,
    /// What became of it.
    pub kind: DifferenceKind,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another one.
    Changed,
    /// It names the same file, in which is something else.
    FileChanged,
}

impl DifferenceKind {
    /// The word for it.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::FileChanged => "file_changed",
        }
    }
}

fn differences(ours: &Value, theirs: &Value, path: &KeyPath, found: &mut Vec<Difference>) {
    use DifferenceKind::{Added, Changed, Removed};
    let mut tell = |path: KeyPath, kind| found.push(Difference { path, kind });
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for key in theirs.keys().filter(|key| !ours.contains_key(*key)) {
                tell(path.key(key), Added);
            }
            for (key, own) in ours {
                match theirs.get(key) {
                    None => found.push(Difference { path: path.key(key), kind: Removed }),
                    Some(other) => differences(own, other, &path.key(key), found),
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if named(ours) && named(theirs) => {
            // Entries with names are the same wherever they stand.
            let find = |list: &[Value], name: &Value| {
                list.iter().position(|own| name_of(own) == Some(name))
            };
            for (at, own) in theirs.iter().enumerate() {
                if name_of(own).is_some_and(|name| find(ours, name).is_none()) {
                    tell(path.index(at), Added);
                }
            }
            for (at, own) in ours.iter().enumerate() {
                match name_of(own).and_then(|name| find(theirs, name)) {
                    None => found.push(Difference { path: path.index(at), kind: Removed }),
                    Some(there) => differences(own, &theirs[there], &path.index(at), found),
                }
            }
            let order = |list: &[Value]| -> Vec<Value> {
                list.iter().filter_map(name_of).cloned().collect()
            };
            let same = |list: &[Value], other: &[Value]| -> Vec<Value> {
                order(list).into_iter().filter(|name| find(other, name).is_some()).collect()
            };
            if same(ours, theirs) != same(theirs, ours) {
                found.push(Difference { path: path.clone(), kind: Changed });
            }
        }
        (ours, theirs) if ours != theirs => tell(path.clone(), Changed),
        _ => {}
    }
}

/// The name of an entry of a list: that of a route, or the id of a rule or a limit.
fn name_of(entry: &Value) -> Option<&Value> {
    entry.get("name").or_else(|| entry.get("id"))
}

fn named(list: &[Value]) -> bool {
    !list.is_empty() && list.iter().all(|entry| name_of(entry).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definitions(value: Value, files: &[(&str, &str)]) -> Definitions {
        let files = files.iter().map(|(path, text)| digest(&KeyPath::of(path), text.as_bytes()));
        Definitions { value: Arc::new(value), files: files.collect() }
    }

    #[test]
    fn what_a_file_says_is_part_of_what_names_it() {
        let value = json!({"upstreams": {"a": {"ca": "x"}, "b": {"ca": "x"}}});
        let one = definitions(value.clone(), &[("upstreams.a.ca", "1"), ("upstreams.b.ca", "1")]);
        let two = definitions(value, &[("upstreams.a.ca", "2"), ("upstreams.b.ca", "1")]);
        let of = |own: &Definitions, name| own.of(&KeyPath::of("upstreams").key(name));
        assert_ne!(of(&one, "a"), of(&two, "a"));
        assert_eq!(of(&one, "b"), of(&two, "b"));
        assert_eq!(one.differences(&two).len(), 1);
    }

    #[test]
    fn an_entry_is_the_same_wherever_it_stands() {
        let one = definitions(json!({"l": [{"id": "a", "n": 1}, {"id": "b"}]}), &[]);
        let two = definitions(json!({"l": [{"id": "b"}, {"id": "a", "n": 2}, {"id": "c"}]}), &[]);
        let of = |own: &Definitions, name| own.of_named(&KeyPath::of("l"), "id", name);
        assert_eq!(of(&one, "b"), of(&two, "b"));
        assert_ne!(of(&one, "a"), of(&two, "a"));
        let found = one.differences(&two);
        let told: Vec<String> =
            found.iter().map(|own| format!("{} {}", own.path, own.kind.token())).collect();
        assert_eq!(told, ["l[2] added", "l[0].n changed", "l changed"]);
    }
}
