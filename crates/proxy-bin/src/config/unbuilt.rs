//! What INTERFACE promises and this version does not do yet. A key is never
//! silently accepted: whoever writes one of these is told so. Whoever builds
//! the feature deletes its lines here.

use serde_json::Value;

use super::diagnostic::Diagnostic;
use super::path::KeyPath;

/// Paths, where `*` stands for any name or index.
const UNBUILT: &[&str] = &[
    // Layers of their own.
    "extensions",
];

/// An error for each value whose feature is not built.
pub(super) fn unbuilt(root: &Value) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for pattern in UNBUILT {
        let steps: Vec<&str> = pattern.split('.').collect();
        visit(root, &steps, &KeyPath::root(), &mut |_, path| {
            let key = path.last_key().unwrap_or(pattern);
            found.push(Diagnostic::error(path, format!("`{key}` is not built yet")).on_key());
        });
    }
    found
}

fn visit(value: &Value, steps: &[&str], path: &KeyPath, found: &mut impl FnMut(&Value, &KeyPath)) {
    let Some((step, rest)) = steps.split_first() else {
        found(value, path);
        return;
    };
    match value {
        Value::Object(table) => {
            for (key, value) in table.iter().filter(|(key, _)| *step == "*" || key == step) {
                visit(value, rest, &path.key(key), found);
            }
        }
        Value::Array(items) if *step == "*" => {
            for (index, item) in items.iter().enumerate() {
                visit(item, rest, &path.index(index), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::{branches, follow, property, schema};

    /// Whether the schema knows a path of the table.
    fn is_known(pattern: &str) -> bool {
        let mut here = vec![follow(schema())];
        for step in pattern.split('.') {
            here = here
                .into_iter()
                .flat_map(|schema| match branches(schema) {
                    Some(inner) => inner.iter().map(follow).collect(),
                    None => vec![schema],
                })
                .filter_map(|schema| property(schema, step).or_else(|| schema.get("items")))
                .map(follow)
                .collect();
        }
        !here.is_empty()
    }

    #[test]
    fn nothing_is_both_built_and_not() {
        for pattern in UNBUILT {
            assert!(!is_known(pattern), "{pattern}");
        }
    }

    #[test]
    fn each_is_named_where_it_stands() {
        let root = serde_json::json!({
            "extensions": {},
            "upstreams": {"b": {
                "endpoints": ["https://x", {"url": "https://y"}],
                "tls": {},
            }},
        });
        let found = unbuilt(&root);
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["error: extensions: `extensions` is not built yet"]);
    }
}
