//! A configuration file as a tree whose every value knows where it stands.

use std::ops::Range;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::json_span;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned {
    /// Its bytes in the text.
    pub span: Range<usize>,
    /// What it is.
    pub node: Node,
}

/// A value whose parts know where they stand.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A table: its entries, in the order of the file.
    Table(Vec<Entry>),
    /// An array.
    Array(Vec<Spanned>),
    /// Anything else.
    Scalar(Value),
}

/// A key of a table and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The bytes of the key in the text.
    pub span: Range<usize>,
    /// The value.
    pub value: Spanned,
}

/// A text that is no TOML, or no JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The offset in the text.
    pub offset: usize,
    /// What is wrong there.
    pub message: String,
}

impl Spanned {
    /// Reads TOML; every syntax error that the parser can tell apart.
    pub fn from_toml(text: &str) -> Result<Self, Vec<SyntaxError>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            let span = table.span();
            return Ok(Self { span, node: toml_table(table.into_inner(), text) });
        }
        let error = |error: toml::de::Error| {
            let message = error.message().trim().replace('\n', ", ");
            let named = error.span().and_then(|span| text.get(span));
            let message = match named {
                Some(key) if message == "duplicate key" => format!("{message} `{key}`"),
                _ => message,
            };
            SyntaxError { offset: error.span().map_or(0, |span| span.start), message }
        };
        Err(errors.into_iter().map(error).collect())
    }

    /// Reads JSON.
    pub fn from_json(text: &str) -> Result<Self, Vec<SyntaxError>> {
        json_span::parse(text).map_err(|error| vec![error])
    }

    /// The value without its places.
    pub fn to_value(&self) -> Value {
        match &self.node {
            Node::Scalar(value) => value.clone(),
            Node::Array(items) => items.iter().map(Self::to_value).collect(),
            Node::Table(entries) => {
                let entry = |entry: &Entry| (entry.key.clone(), entry.value.to_value());
                Value::Object(entries.iter().map(entry).collect())
            }
        }
    }
}

fn toml_table(table: DeTable<'_>, text: &str) -> Node {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| Entry {
            span: key.span(),
            key: key.into_inner().into_owned(),
            value: toml_value(value, text),
        })
        .collect();
    entries.sort_by_key(|entry| entry.span.start);
    Node::Table(entries)
}

fn toml_value(value: toml::Spanned<DeValue<'_>>, text: &str) -> Spanned {
    let span = value.span();
    let node = match value.into_inner() {
        DeValue::Table(table) => toml_table(table, text),
        DeValue::Array(items) => {
            Node::Array(items.into_iter().map(|item| toml_value(item, text)).collect())
        }
        DeValue::String(string) => Node::Scalar(Value::from(string.into_owned())),
        DeValue::Boolean(boolean) => Node::Scalar(Value::from(boolean)),
        DeValue::Integer(integer) => {
            let number =
                i64::from_str_radix(integer.as_str(), integer.radix()).map(Value::from).or_else(
                    |_| u64::from_str_radix(integer.as_str(), integer.radix()).map(Value::from),
                );
            // No key takes a number beyond 64 bits: kept as text it is a type error there.
            Node::Scalar(number.unwrap_or_else(|_| Value::from(integer.to_string())))
        }
        DeValue::Float(float) => {
            let number = float.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            Node::Scalar(number.map_or_else(|| Value::from(float.as_str()), Value::Number))
        }
        DeValue::Datetime(datetime) => Node::Scalar(Value::from(datetime.to_string())),
    };
    Spanned { span, node }
}

/// The line and the column of an offset, both from 1; columns are characters.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(tree: &Spanned, text: &str, path: &str, out: &mut Vec<String>) {
        let (line, column) = position(text, tree.span.start);
        out.push(format!("{path} {line}:{column}"));
        match &tree.node {
            Node::Table(entries) => {
                for entry in entries {
                    places(&entry.value, text, &format!("{path}/{}", entry.key), out);
                }
            }
            Node::Array(items) => {
                for item in items {
                    places(item, text, &format!("{path}/-"), out);
                }
            }
            Node::Scalar(_) => {}
        }
    }

    #[test]
    fn every_toml_value_knows_its_place() {
        let text = "a = 1\n[b.c]\nd = { e = [1, \"é\", 2] }\n[[f]]\ng = 0x10\n[[f]]\n";
        let tree = Spanned::from_toml(text).unwrap();
        let mut out = Vec::new();
        places(&tree, text, "", &mut out);
        assert_eq!(
            out,
            [
                " 1:1",
                "/a 1:5",
                "/b 2:2",
                "/b/c 2:1",
                "/b/c/d 3:5",
                "/b/c/d/e 3:11",
                "/b/c/d/e/- 3:12",
                "/b/c/d/e/- 3:15",
                "/b/c/d/e/- 3:20",
                "/f 4:1",
                "/f/- 4:1",
                "/f/-/g 5:5",
                "/f/- 6:1"
            ]
        );
        let expected = serde_json::json!(
            {"a": 1, "b": {"c": {"d": {"e": [1, "é", 2]}}}, "f": [{"g": 16}, {}]}
        );
        assert_eq!(tree.to_value(), expected);
    }

    #[test]
    fn toml_and_json_say_the_same() {
        let toml = Spanned::from_toml("a = 1.5\nb = [true, 'x']\n[c]\nd = 'e'\n").unwrap();
        let json = Spanned::from_json(r#"{"a": 1.5, "b": [true, "x"], "c": {"d": "e"}}"#).unwrap();
        assert_eq!(toml.to_value(), json.to_value());
    }

    #[test]
    fn syntax_errors_have_places() {
        let errors = Spanned::from_toml("a = 1\nb = \nc = }\n").unwrap_err();
        let lines: Vec<_> =
            errors.iter().map(|e| position("a = 1\nb = \nc = }\n", e.offset).0).collect();
        assert!(lines.contains(&2) && lines.contains(&3), "{errors:?}");
    }
}
