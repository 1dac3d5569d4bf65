//! Every key of the configuration as a page of Markdown, made from the schema.

use std::fmt::Write as _;

use serde_json::Value;

use super::defaults;
use super::path::{KeyPath, Step};
use super::raw;
use super::schema::{branches, follow, schema};
use super::validate::expected;

/// Tables in tables are followed this far: some hold themselves.
const MAX_DEPTH: usize = 8;

/// A section for each table of the file, a line for each key in it.
pub fn page() -> String {
    let mut text = String::from(
        "# Every key\n\nMade from the schema of the configuration: `proxyd config keys` prints it. \
         `NAME` is a name of your own, `[]` an element of a list. What the keys do together is told \
         in [configuration](configuration.md).\n",
    );
    let mut filled = raw::Config::default();
    defaults::fill(&mut filled);
    let filled = serde_json::to_value(&filled).unwrap_or_default();
    let root = follow(schema());
    let mut single = Vec::new();
    for (key, own) in properties(root) {
        let path = KeyPath::root().key(key);
        let mut rows = Vec::new();
        let (heading, inside, path) = match inner(follow(own)) {
            Inner::Table => (format!("[{key}]"), follow(own), path),
            Inner::Named(item) => (format!("[{key}.NAME]"), follow(item), path.key("NAME")),
            Inner::List(item) => (format!("[[{key}]]"), follow(item), path.index(0)),
            Inner::None => {
                single.push(row(key, own, &path, &filled));
                continue;
            }
        };
        table(inside, "", &path, &filled, 0, &mut rows);
        let _ = write!(text, "\n## `{heading}`\n\n{}\n\n", description(own));
        section(&mut text, &rows);
    }
    if !single.is_empty() {
        text.push_str("\n## Beside the tables\n\n");
        section(&mut text, &single);
    }
    text
}

fn section(text: &mut String, rows: &[String]) {
    text.push_str("| key | value | default | |\n|---|---|---|---|\n");
    rows.iter().for_each(|row| text.push_str(row));
}

/// What a value holds that has keys of its own.
enum Inner {
    Table,
    Named(&'static Value),
    List(&'static Value),
    None,
}

fn inner(schema: &'static Value) -> Inner {
    let of = schema.get("items").map(follow);
    if let Some(item) = of.and_then(with_keys) {
        return Inner::List(item);
    }
    let named = schema.get("additionalProperties").filter(|own| own.is_object()).map(follow);
    if let Some(item) = named.and_then(with_keys) {
        return Inner::Named(item);
    }
    if properties(schema).next().is_some() { Inner::Table } else { Inner::None }
}

/// The schema itself, or the first of its alternatives, that is a table with keys.
fn with_keys(schema: &'static Value) -> Option<&'static Value> {
    let schema = follow(schema);
    if properties(schema).next().is_some() {
        return Some(schema);
    }
    branches(schema)?.iter().find_map(with_keys)
}

fn properties(schema: &'static Value) -> impl Iterator<Item = (&'static str, &'static Value)> {
    let table = schema.get("properties").and_then(Value::as_object);
    table.into_iter().flatten().map(|(key, schema)| (key.as_str(), schema))
}

fn table(
    schema: &'static Value,
    front: &str,
    path: &KeyPath,
    filled: &Value,
    depth: usize,
    rows: &mut Vec<String>,
) {
    for (key, own) in properties(schema) {
        let (name, path) = (format!("{front}{key}"), path.key(key));
        rows.push(row(&name, own, &path, filled));
        if depth == MAX_DEPTH {
            continue;
        }
        let next = follow(own);
        let mut into = |schema, name: String, path: &KeyPath| {
            table(schema, &name, path, filled, depth + 1, rows);
        };
        match inner(next) {
            Inner::Table => into(next, format!("{name}."), &path),
            Inner::Named(item) => into(item, format!("{name}.NAME."), &path.key("NAME")),
            Inner::List(item) => into(item, format!("{name}[]."), &path.index(0)),
            Inner::None => {
                if let Some(item) = with_keys(next) {
                    into(item, format!("{name}."), &path);
                }
            }
        }
    }
}

fn row(name: &str, schema: &'static Value, path: &KeyPath, filled: &Value) -> String {
    // In a list or below a name of the operator's there is no value but by the schema.
    let is_fixed = path.steps().iter().all(|step| *step != Step::Key("NAME".to_owned()));
    let known = is_fixed.then(|| path.find(filled)).flatten();
    let default = known.or_else(|| schema.get("default")).or_else(|| follow(schema).get("default"));
    let plain = |value: &&Value| match value {
        Value::Object(_) | Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    let default = default.filter(plain).map(|value| format!("`{value}`")).unwrap_or_default();
    format!(
        "| `{name}` | {} | {} | {} |\n",
        cell(&expected(schema)),
        cell(&default),
        description(schema)
    )
}

fn description(schema: &'static Value) -> String {
    let own = schema.get("description").or_else(|| follow(schema).get("description"));
    cell(own.and_then(Value::as_str).unwrap_or_default())
}

/// Text that can stand in a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_depths_have_a_line_with_type_and_default() {
        let page = page();
        for line in [
            "## `[listeners.NAME]`",
            "| `role` | \"gateway\" or \"forward\" |",
            "| `tls.certificates[].cert` | a string |",
            "## `[[routes]]`",
            "| `match.hosts` | an array |",
            "| `limits.connections` |",
            "| `drain_timeout` | a time such as \"30s\", \"1500ms\" or \"10m\" | `\"30s\"` |",
            "| `include` | an array |",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
