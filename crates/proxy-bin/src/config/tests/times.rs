//! How long a time may be, for each key that is one.

use serde_json::{Value, json};

use crate::config::schema::{branches, follow, schema};
use crate::config::validate::validate;

/// Tables in tables are followed this far: some hold themselves.
const DEPTH: usize = 8;

/// Every key that is a time, as a path and as a value with nothing else in it.
fn times(schema: &'static Value, text: &str, depth: usize) -> Vec<(String, Value)> {
    let schema = follow(schema);
    if schema.get("x-most").is_some() {
        return vec![(String::new(), text.into())];
    }
    if depth == 0 {
        return Vec::new();
    }
    let inner = |schema| times(schema, text, depth - 1);
    let mut found = Vec::new();
    for (key, own) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let own = inner(own).into_iter();
        found.extend(own.map(|(path, value)| (format!(".{key}{path}"), json!({ key: value }))));
    }
    if let Some(own) = schema.get("additionalProperties").filter(|own| own.is_object()) {
        let own = inner(own).into_iter();
        found.extend(own.map(|(path, value)| (format!(".x{path}"), json!({ "x": value }))));
    }
    if let Some(own) = schema.get("items") {
        let own = inner(own).into_iter();
        found.extend(own.map(|(path, value)| (format!("[0]{path}"), json!([value]))));
    }
    for own in branches(schema).into_iter().flatten() {
        found.extend(inner(own));
    }
    found
}

#[test]
fn every_time_has_a_bound_that_its_error_names() {
    for text in ["99999d", "999999h", "99999999m", "999999999s"] {
        for (path, value) in times(schema(), text, DEPTH) {
            let path = path.trim_start_matches('.');
            let found: Vec<_> = validate(&value, &[]).iter().map(ToString::to_string).collect();
            let wrong = format!("{path}: expected");
            assert!(!found.iter().any(|own| own.contains(&wrong)), "{path}: {found:?}");
        }
    }
    let mut keys = 0;
    for text in ["100000d", "1000000h", "100000000m", "1000000000s", "99999999999999999999d"] {
        for (path, value) in times(schema(), text, DEPTH) {
            let path = path.trim_start_matches('.');
            let found: Vec<_> = validate(&value, &[]).iter().map(ToString::to_string).collect();
            let is_named = found.iter().any(|own| {
                own.contains(&format!("{path}: expected at most 999999999s, 99999999m, 999999h or"))
            });
            // What may be something else, too, is told what.
            let is_told = found.iter().any(|own| own.contains(&format!("{path}: expected")));
            assert!(is_named || is_told, "{path} = {text}: {found:?}");
            keys += usize::from(is_named);
        }
    }
    assert!(keys > 5 * 60, "{keys}");
}
