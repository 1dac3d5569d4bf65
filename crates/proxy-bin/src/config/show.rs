//! A configuration as TOML, with a comment where each value came from.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::Loaded;
use super::path::{KeyPath, Step, quoted_key};
use super::schema::schema;
use crate::extensions::Extensions;

/// Parts of the names of fields whose values are secrets.
const SECRETS: [&str; 9] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "credential",
    "api-key",
    "api_key",
    "apikey",
];

/// Every key with its value, defaults filled in, and where the value came
/// from. Secrets are redacted.
pub fn effective(loaded: &Loaded) -> String {
    let value = serde_json::to_value(&loaded.raw).unwrap_or_default();
    let origin = |path: &KeyPath| match loaded.origins.exact(path) {
        Some(place) => place.to_string(),
        None => "default".to_owned(),
    };
    Writer { origin: Some(&origin), text: String::new() }.document(&value)
}

/// Only what is written, as one file without includes.
pub fn written(loaded: &Loaded) -> String {
    Writer { origin: None, text: String::new() }.document(&loaded.written)
}

/// The JSON Schema of the configuration file, with that of each extension.
pub fn json_schema(extensions: &Extensions) -> String {
    let mut whole = schema().clone();
    for (name, schema) in extensions.schemas() {
        whole["properties"]["extensions"]["properties"][name] = schema.clone();
    }
    let mut text = serde_json::to_string_pretty(&whole).unwrap_or_default();
    text.push('\n');
    text
}

struct Writer<'a> {
    /// Says where a value came from; without it values stand bare and whole.
    origin: Option<&'a dyn Fn(&KeyPath) -> String>,
    text: String,
}

impl Writer<'_> {
    fn document(mut self, value: &Value) -> String {
        if let Value::Object(table) = value {
            self.table(table, &KeyPath::root(), "");
        }
        self.text
    }

    /// The plain values of a table first, then the tables in it, each under
    /// its own header.
    fn table(&mut self, table: &Map<String, Value>, path: &KeyPath, header: &str) {
        let plain = |value: &Value| !value.is_object() && tables(value).is_none();
        for (key, value) in table.iter().filter(|(_, value)| plain(value) && !value.is_null()) {
            let inner = path.key(key);
            let shown = if self.origin.is_some() && is_secret(&inner) && value.is_string() {
                "\"(redacted)\"".to_owned()
            } else {
                inline(value)
            };
            let _ = write!(self.text, "{} = {shown}", quoted_key(key));
            if let Some(origin) = self.origin {
                let _ = write!(self.text, "  # {}", origin(&inner));
            }
            self.text.push('\n');
        }
        for (key, value) in table {
            let inner = path.key(key);
            let dot = if header.is_empty() { "" } else { "." };
            let header = format!("{header}{dot}{}", quoted_key(key));
            if let Value::Object(table) = value {
                let is_default = self.origin.is_some_and(|origin| origin(&inner) == "default");
                if table.is_empty() && is_default {
                    continue;
                }
                // A table that holds only tables needs no header of its own.
                if table.is_empty() || !table.values().all(Value::is_object) {
                    self.header(&format!("[{header}]"));
                }
                self.table(table, &inner, &header);
            }
            for (index, table) in tables(value).into_iter().flatten().enumerate() {
                self.header(&format!("[[{header}]]"));
                self.table(table, &inner.index(index), &header);
            }
        }
    }

    fn header(&mut self, header: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.text, "{gap}{header}");
    }
}

/// The tables of an array that holds nothing else, and at least one.
fn tables(value: &Value) -> Option<Vec<&Map<String, Value>>> {
    let items = value.as_array().filter(|items| !items.is_empty())?;
    items.iter().map(Value::as_object).collect()
}

fn inline(value: &Value) -> String {
    toml::Value::try_from(value).map(|value| value.to_string()).unwrap_or_default()
}

/// Whether a value is that of a field or a parameter whose name says secret.
fn is_secret(path: &KeyPath) -> bool {
    let [.., Step::Key(table), Step::Key(name)] = path.steps() else {
        return false;
    };
    let name = name.to_lowercase();
    matches!(table.as_str(), "set" | "add" | "fields" | "query")
        && SECRETS.iter().any(|secret| name.contains(secret))
}
