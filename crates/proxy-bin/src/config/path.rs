//! The path of a value in the configuration: `routes[2].match.hosts[0]`.

use std::fmt;

use serde_json::Value;

/// One step from a value to a value in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Into a table.
    Key(String),
    /// Into an array.
    Index(usize),
}

/// Where a value stands in the merged configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(Vec<Step>);

impl KeyPath {
    /// The whole configuration.
    pub fn root() -> Self {
        Self::default()
    }

    /// From keys that are joined by dots; no key of it may hold one itself.
    pub fn of(keys: &str) -> Self {
        Self(keys.split('.').map(|key| Step::Key(key.to_owned())).collect())
    }

    /// The path of what stands there under this key.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// The path of what stands there at this index.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    /// The path of what stands there at a written path such as `match.hosts[0]`.
    #[must_use]
    pub fn within(&self, written: &str) -> Self {
        written.split('.').fold(self.clone(), |path, part| {
            let (key, indexes) = part.split_once('[').unwrap_or((part, ""));
            let indexes = indexes.split('[').filter_map(|index| index.strip_suffix(']'));
            let indexes = indexes.filter_map(|index| index.parse().ok());
            indexes.fold(path.key(key), |path, index: usize| path.index(index))
        })
    }

    fn step(&self, step: Step) -> Self {
        let mut path = self.clone();
        path.0.push(step);
        path
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// What it stands in; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, front) = self.0.split_last()?;
        Some(Self(front.to_vec()))
    }

    /// The last key, for messages.
    pub fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }

    /// Whether it is `other` or stands in it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The value at this path.
    pub fn find<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(root, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(index),
        })
    }

    /// Takes the value at this path out of its table, or the whole array out
    /// of its table where it is an array's element: other indexes stay true.
    pub fn prune(&self, root: &mut Value) {
        let mut path = self.clone();
        while let Some(step) = path.0.pop() {
            if let Step::Key(key) = step {
                let mut table = Some(root);
                for step in &path.0 {
                    table = table.and_then(|value| match step {
                        Step::Key(key) => value.get_mut(key),
                        Step::Index(index) => value.get_mut(index),
                    });
                }
                if let Some(Value::Object(table)) = table {
                    table.remove(&key);
                }
                return;
            }
        }
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(&quoted_key(key))?;
                }
            }
        }
        Ok(())
    }
}

/// A key as TOML writes it: bare where that is allowed.
pub fn quoted_key(key: &str) -> String {
    let bare = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if bare { key.to_owned() } else { Value::from(key).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_it_is_written() {
        let path = KeyPath::of("routes").index(2).key("match").key("fields").key("x.y");
        assert_eq!(path.to_string(), r#"routes[2].match.fields."x.y""#);
        assert!(path.is_within(&KeyPath::of("routes")));
        assert_eq!(path.last_key(), Some("x.y"));
        let route = KeyPath::of("routes").index(0);
        assert_eq!(route.within("match.hosts[1]").to_string(), "routes[0].match.hosts[1]");
    }

    #[test]
    fn pruning_keeps_the_indexes_of_other_elements() {
        let mut root = serde_json::json!({"a": [{"b": 1, "c": [1, 2]}, {"b": 2}]});
        KeyPath::of("a").index(0).key("c").index(1).prune(&mut root);
        assert_eq!(root, serde_json::json!({"a": [{"b": 1}, {"b": 2}]}));
    }
}
