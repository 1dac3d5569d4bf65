//! Checks a merged configuration against its schema and reports everything
//! that is wrong at once, where serde would stop at the first error.

use std::cmp::Ordering;

use serde_json::Value;

use super::diagnostic::Diagnostic;
use super::path::KeyPath;
use super::schema::{branches, follow, kinds, property, schema, words};
use super::suggest::nearest;

/// Everything in which the value is not as the schema says. What stands at one
/// of the `skipped` paths was judged before.
pub(super) fn validate(value: &Value, skipped: &[KeyPath]) -> Vec<Diagnostic> {
    let mut walk = Walk { skipped, found: Vec::new() };
    walk.value(schema(), value, &KeyPath::root());
    walk.found
}

/// The same by a schema of its own, without references, for the value at a path.
pub(crate) fn validate_by(
    schema: &'static Value,
    value: &Value,
    path: &KeyPath,
) -> Vec<Diagnostic> {
    let mut walk = Walk { skipped: &[], found: Vec::new() };
    walk.value(schema, value, path);
    walk.found
}

struct Walk<'a> {
    skipped: &'a [KeyPath],
    found: Vec<Diagnostic>,
}

impl Walk<'_> {
    fn value(&mut self, outer: &'static Value, value: &Value, path: &KeyPath) {
        if self.skipped.contains(path) {
            return;
        }
        let schema = follow(outer);
        if let Some(words) = words(schema) {
            if !words.contains(&value) {
                self.found.push(Diagnostic::error(path, unknown_word(&words, value)));
            }
            return;
        }
        if !kinds(schema).into_iter().any(|kind| is_of(value, kind)) {
            self.found.push(Diagnostic::error(path, mismatch(schema, value)));
            return;
        }
        if let Some(branches) = branches(schema) {
            self.branch(schema, branches, value, path);
            return;
        }
        match value {
            Value::Object(table) => self.table(schema, table, path),
            Value::Array(items) => {
                let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
                if (items.len() as u64) < least {
                    let message = format!("expected at least {least}, found {}", items.len());
                    self.found.push(Diagnostic::error(path, message));
                }
                if let Some(inner) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.value(inner, item, &path.index(index));
                    }
                }
            }
            Value::String(text) => {
                let pattern = schema.get("pattern").and_then(Value::as_str);
                let matches = |pattern| regex::Regex::new(pattern).is_ok_and(|p| p.is_match(text));
                if !pattern.is_none_or(matches) {
                    self.found.push(Diagnostic::error(path, mismatch(schema, value)));
                }
            }
            Value::Number(number) => {
                let number = number.as_f64();
                let bound = |name| schema.get(name).and_then(Value::as_f64);
                let below = bound("minimum").partial_cmp(&number) == Some(Ordering::Greater);
                let above = bound("maximum").is_some_and(|most| number > Some(most));
                if below || above {
                    self.found.push(Diagnostic::error(path, mismatch(schema, value)));
                }
            }
            _ => {}
        }
    }

    /// Of the alternatives, those for this type of value are tried.
    fn branch(
        &mut self,
        schema: &'static Value,
        branches: &'static [Value],
        value: &Value,
        path: &KeyPath,
    ) {
        let mut first = None;
        for branch in branches {
            if !kinds(branch).into_iter().any(|kind| is_of(value, kind)) {
                continue;
            }
            let mut walk = Walk { skipped: self.skipped, found: Vec::new() };
            walk.value(branch, value, path);
            if walk.found.is_empty() {
                return;
            }
            first.get_or_insert(walk.found);
        }
        // An error in a table or an array says more than the sum of the alternatives.
        match first {
            Some(found) if value.is_object() || value.is_array() => self.found.extend(found),
            _ => self.found.push(Diagnostic::error(path, mismatch(schema, value))),
        }
    }

    fn table(
        &mut self,
        schema: &'static Value,
        table: &serde_json::Map<String, Value>,
        path: &KeyPath,
    ) {
        for (key, value) in table {
            let inner = path.key(key);
            match property(schema, key) {
                Some(schema) => self.value(schema, value, &inner),
                None if self.skipped.contains(&inner) => {}
                None => {
                    self.found.push(Diagnostic::error(&inner, unknown_key(schema, key)).on_key());
                }
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            if !table.contains_key(key) {
                let expected = property(schema, key).map(expected).unwrap_or_default();
                let message = format!("missing key; expected {expected}");
                self.found.push(Diagnostic::error(&path.key(key), message));
            }
        }
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    }
}

fn unknown_key(schema: &'static Value, key: &str) -> String {
    let known = schema.get("properties").and_then(Value::as_object);
    let known: Vec<&str> = known.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    match nearest(key, known.iter().copied()) {
        Some(near) => format!("unknown key; did you mean `{near}`?"),
        None => format!("unknown key; expected one of `{}`", known.join("`, `")),
    }
}

fn unknown_word(words: &[&Value], value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let near = match nearest(text, words.iter().filter_map(|word| word.as_str())) {
        Some(near) => format!("; did you mean \"{near}\"?"),
        None => String::new(),
    };
    format!("expected {}, found {}{near}", one_of(words), found(value))
}

fn one_of(words: &[&Value]) -> String {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    match words.as_slice() {
        [only] => only.clone(),
        [front @ .., last] => format!("{} or {last}", front.join(", ")),
        [] => String::new(),
    }
}

fn mismatch(schema: &'static Value, value: &Value) -> String {
    let hint = match value {
        Value::Array(_) | Value::Object(_) | Value::Null => String::new(),
        scalar if kinds(schema) == ["array"] => format!("; write [{scalar}]"),
        _ => String::new(),
    };
    let most = follow(schema).get("x-most").and_then(Value::as_str);
    if let Some(most) = most.filter(|_| value.as_str().is_some_and(is_measure)) {
        return format!("expected at most {most}, found {}", found(value));
    }
    format!("expected {}, found {}{hint}", expected(schema), found(value))
}

/// Whether a text is a number with a unit of time: as it should be, but for how large it is.
fn is_measure(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < text.len() && ["ms", "s", "m", "h", "d"].contains(&unit.trim_start())
}

/// What a value may be, in words.
pub(super) fn expected(schema: &'static Value) -> String {
    let schema = follow(schema);
    if let Some(text) = schema.get("x-expected").and_then(Value::as_str) {
        return text.to_owned();
    }
    if let Some(words) = words(schema) {
        return one_of(&words);
    }
    let bound = |name| schema.get(name).filter(|bound| bound.as_f64() != Some(0.0));
    let kind = |kind| match (kind, bound("minimum"), bound("maximum")) {
        ("object", ..) => "a table".to_owned(),
        ("array", ..) => "an array".to_owned(),
        ("string", ..) => "a string".to_owned(),
        ("boolean", ..) => "true or false".to_owned(),
        ("integer" | "number", None, None) => "a whole number".to_owned(),
        ("integer" | "number", Some(least), None) => format!("a whole number from {least}"),
        ("integer" | "number", None, Some(most)) => format!("a whole number up to {most}"),
        ("integer" | "number", Some(least), Some(most)) => {
            format!("a whole number from {least} to {most}")
        }
        (other, ..) => other.to_owned(),
    };
    kinds(schema).into_iter().map(kind).collect::<Vec<_>>().join(" or ")
}

/// The value as a message names it.
fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(boolean) => boolean.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() > 60 => {
            format!("a string of {} characters", text.chars().count())
        }
        Value::String(_) => format!("the string {value}"),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found_in(text: &str) -> Vec<String> {
        let value: Value = toml::from_str(text).unwrap();
        validate(&value, &[]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_is_said_at_once() {
        let found = found_in(
            r#"
            [listeners.web]
            adress = "127.0.0.1:80"
            role = "gatewya"
            allow_clients = "10.0.0.0/8"
            colour = 1
            [forward]
            connect_ports = [443, 70000, true]
            [server]
            workers = "four"
            drain_timeout = 30
            lame_duck_interval = "3 weeks"
            limits = { body = "big", fields = 0 }
            [[routes]]
            redirect = { to = "/", status = 200 }
            match = { fields = { a = 1, b = { regexp = "x" } } }
            "#,
        );
        assert_eq!(
            found,
            [
                "error: forward.connect_ports[1]: expected a port number or a range such as \"8000-8099\", found the number 70000",
                "error: forward.connect_ports[2]: expected a port number or a range such as \"8000-8099\", found true",
                "error: listeners.web.adress: unknown key; did you mean `address`?",
                "error: listeners.web.allow_clients: expected an array, found the string \"10.0.0.0/8\"; write [\"10.0.0.0/8\"]",
                "error: listeners.web.colour: unknown key; expected one of `address`, `addresses`, `allow_clients`, `client_address_from`, `credentials`, `deny_clients`, `half_close`, `limits`, `open`, `protocols`, `proxy_protocol`, `quic`, `role`, `tls`, `trusted_proxies`",
                "error: listeners.web.role: expected \"gateway\" or \"forward\", found the string \"gatewya\"; did you mean \"gateway\"?",
                "error: routes[0].match.fields.a: expected a value, true (present), false (absent) or { regex = \"...\" }, found the number 1",
                "error: routes[0].match.fields.b.regexp: unknown key; did you mean `regex`?",
                "error: routes[0].match.fields.b.regex: missing key; expected a string",
                "error: routes[0].redirect.status: expected 301, 302, 303, 307 or 308, found the number 200",
                "error: routes[0].name: missing key; expected a string",
                "error: server.drain_timeout: expected a time such as \"30s\", \"1500ms\" or \"10m\", found the number 30",
                "error: server.lame_duck_interval: expected a time such as \"30s\", \"1500ms\" or \"10m\", found the string \"3 weeks\"",
                "error: server.limits.body: expected a size such as \"64KiB\" or \"10MB\", or \"none\", found the string \"big\"",
                "error: server.limits.fields: expected a whole number from 1 to 10000, found the number 0",
                "error: server.workers: expected a whole number up to 1024, found the string \"four\"",
            ]
        );
    }

    #[test]
    fn what_was_judged_before_is_left_alone() {
        let value = serde_json::json!({"cache": {"memory": 1}, "nonsense": 1});
        let found = validate(&value, &[KeyPath::of("cache")]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, KeyPath::of("nonsense"));
    }
}
