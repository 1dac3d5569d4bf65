//! The JSON Schema of the configuration, made from the same types that serde
//! reads, and ways to walk it.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::path::{KeyPath, Step};
use super::raw;

/// The schema of a whole configuration file.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut schema = for_toml(schemars::schema_for!(raw::Config).to_value());
        schema["title"] = "proxyd configuration".into();
        schema
    });
    &SCHEMA
}

/// A schema of what a file can say.
pub(crate) fn for_toml(mut schema: Value) -> Value {
    without_null(&mut schema);
    schema
}

/// An optional key is left out, not null: TOML has no null.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(table) => {
            if let Some(Value::Array(kinds)) = table.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [kind] = kinds.as_slice() {
                    let kind = kind.clone();
                    table.insert("type".to_owned(), kind);
                }
            }
            if let Some(Value::Array(branches)) = table.get_mut("anyOf") {
                branches.retain(|branch| branch.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(only)] = branches.as_slice() {
                    let only = only.clone();
                    table.remove("anyOf");
                    for (key, value) in only {
                        table.entry(key).or_insert(value);
                    }
                }
            }
            if table.get("default").is_some_and(Value::is_null) {
                table.remove("default");
            }
            table.values_mut().for_each(without_null);
        }
        _ => {}
    }
}

/// A subschema with its `$ref` followed.
pub(super) fn follow(mut schema: &'static Value) -> &'static Value {
    while let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let name = name.rsplit('/').next().unwrap_or(name);
        schema = &self::schema()["$defs"][name];
    }
    schema
}

/// The subschema of the key of a table, if the table may have that key.
pub(super) fn property(table: &'static Value, key: &str) -> Option<&'static Value> {
    if let Some(schema) = table.get("properties").and_then(|properties| properties.get(key)) {
        return Some(schema);
    }
    table.get("additionalProperties").filter(|schema| schema.is_object())
}

/// The names of the types that a value may have.
pub(super) fn kinds(schema: &'static Value) -> Vec<&'static str> {
    let schema = follow(schema);
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => branches(schema).into_iter().flatten().flat_map(kinds).collect(),
    }
}

/// The alternatives of a schema that has them.
pub(super) fn branches(schema: &'static Value) -> Option<&'static Vec<Value>> {
    schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array)
}

/// Whether the value at a path can only be text.
pub(super) fn is_text(path: &KeyPath) -> bool {
    let mut schema = follow(self::schema());
    for step in path.steps() {
        let inner = match step {
            Step::Key(key) => property(schema, key),
            Step::Index(_) => schema.get("items"),
        };
        match inner {
            Some(inner) => schema = follow(inner),
            None => return false,
        }
    }
    let kinds = kinds(schema);
    !kinds.is_empty() && kinds.iter().all(|kind| *kind == "string")
}

/// Puts something where a required key is missing, so that the rest can still
/// be read and checked. What is put there is never used.
pub(super) fn fill_required(schema: &'static Value, value: &mut Value) {
    let schema = follow(schema);
    match value {
        Value::Object(table) => {
            let required = schema.get("required").and_then(Value::as_array);
            for key in required.into_iter().flatten().filter_map(Value::as_str) {
                if let Some(inner) = property(schema, key) {
                    table.entry(key).or_insert_with(|| placeholder(inner));
                }
            }
            for (key, value) in table {
                if let Some(inner) = property(schema, key) {
                    fill_required(inner, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(inner) = schema.get("items") {
                items.iter_mut().for_each(|item| fill_required(inner, item));
            }
        }
        _ => {}
    }
}

fn placeholder(schema: &'static Value) -> Value {
    let schema = follow(schema);
    if let Some(word) = words(schema).into_iter().flatten().next() {
        return word.clone();
    }
    match kinds(schema).first() {
        Some(&"array") => Value::Array(Vec::new()),
        Some(&"object") => Value::Object(Map::new()),
        Some(&"integer" | &"number") => Value::from(1),
        Some(&"boolean") => Value::from(false),
        _ => Value::from(""),
    }
}

/// The values of a schema that allows only these.
pub(super) fn words(schema: &'static Value) -> Option<Vec<&'static Value>> {
    let schema = follow(schema);
    if let Some(word) = schema.get("const") {
        return Some(vec![word]);
    }
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        return Some(list.iter().collect());
    }
    let inner: Option<Vec<_>> = branches(schema)?.iter().map(words).collect();
    Some(inner?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_every_key_and_no_null() {
        let text = serde_json::to_string_pretty(schema()).unwrap();
        assert!(!text.contains("\"null\""), "{text}");
        for key in ["listeners", "connect_ports", "strip_prefix", "drain_timeout"] {
            assert!(text.contains(&format!("\"{key}\": {{")), "{key}");
        }
    }

    #[test]
    fn text_is_told_from_what_may_be_a_number() {
        for (path, text) in [
            ("listeners.web.address", true),
            ("listeners.web.role", true),
            ("server.drain_timeout", true),
            ("server.workers", false),
            ("server.limits.body", false),
            ("forward.connect_ports", false),
            ("no.such.key", false),
        ] {
            assert_eq!(is_text(&KeyPath::of(path)), text, "{path}");
        }
    }

    #[test]
    fn an_enum_is_a_list_of_words() {
        let listener = follow(property(property(schema(), "listeners").unwrap(), "x").unwrap());
        let words = words(property(listener, "role").unwrap()).unwrap();
        assert_eq!(words, ["gateway", "forward"]);
    }
}
