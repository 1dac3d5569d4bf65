//! JSON with the place of every value. serde_json reads strings and numbers;
//! what is here only keeps count of where they stand.

use serde_json::Value;

use super::span::{Entry, Node, Spanned, SyntaxError};

/// Deeper than any configuration, shallow enough for any stack.
const MAX_DEPTH: usize = 64;

/// Reads one JSON value and nothing after it.
pub(super) fn parse(text: &str) -> Result<Spanned, SyntaxError> {
    let mut scanner = Scanner { text, offset: 0 };
    let value = scanner.value(0)?;
    scanner.skip_space();
    if scanner.offset == text.len() { Ok(value) } else { Err(scanner.error("expected the end")) }
}

struct Scanner<'a> {
    text: &'a str,
    offset: usize,
}

impl Scanner<'_> {
    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError { offset: self.offset, message: message.into() }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.offset += 1;
        }
    }

    /// Takes this byte, after white space, if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.offset += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Spanned, SyntaxError> {
        self.skip_space();
        let start = self.offset;
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        let node = match self.peek() {
            Some(b'{') => self.table(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Node::Scalar(Value::from(self.string()?)),
            _ => self.word()?,
        };
        Ok(Spanned { span: start..self.offset, node })
    }

    fn table(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        self.offset += 1;
        let mut entries: Vec<Entry> = Vec::new();
        if self.take(b'}') {
            return Ok(Node::Table(entries));
        }
        loop {
            self.skip_space();
            let start = self.offset;
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key in double quotes"));
            }
            let key = self.string()?;
            if entries.iter().any(|entry| entry.key == key) {
                return Err(SyntaxError {
                    offset: start,
                    message: format!("duplicate key `{key}`"),
                });
            }
            let span = start..self.offset;
            if !self.take(b':') {
                return Err(self.error("expected `:`"));
            }
            let value = self.value(depth + 1)?;
            entries.push(Entry { key, span, value });
            if self.take(b'}') {
                return Ok(Node::Table(entries));
            }
            if !self.take(b',') {
                return Err(self.error("expected `,` or `}`"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        self.offset += 1;
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Node::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take(b']') {
                return Ok(Node::Array(items));
            }
            if !self.take(b',') {
                return Err(self.error("expected `,` or `]`"));
            }
        }
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let bytes = self.text.as_bytes();
        let mut end = self.offset + 1;
        while let Some(byte) = bytes.get(end) {
            match byte {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let literal =
            self.text.get(self.offset..=end).ok_or_else(|| self.error("unended string"))?;
        let string = serde_json::from_str(literal)
            .map_err(|_| self.error("a string with an invalid character or escape"))?;
        self.offset = end + 1;
        Ok(string)
    }

    fn word(&mut self) -> Result<Node, SyntaxError> {
        let rest = &self.text[self.offset..];
        let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.');
        let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let value =
            serde_json::from_str(&rest[..end]).map_err(|_| self.error("expected a value"))?;
        self.offset += end;
        Ok(Node::Scalar(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_places() {
        let text = "{\n  \"a\": [1, {\"b\": \"x\\\"y\"}],\n  \"c\": -1.5e3, \"d\": null\n}\n";
        let tree = parse(text).unwrap();
        assert_eq!(tree.to_value(), serde_json::from_str::<Value>(text).unwrap());
        let Node::Table(entries) = &tree.node else { panic!("a table") };
        assert_eq!(&text[entries[0].span.clone()], "\"a\"");
        assert_eq!(&text[entries[1].value.span.clone()], "-1.5e3");
    }

    #[test]
    fn what_is_no_json_is_an_error_with_a_place() {
        for (text, offset) in [
            ("", 0),
            ("{", 1),
            ("{\"a\" 1}", 5),
            ("{\"a\": 1,}", 8),
            ("[1 2]", 3),
            ("[1]x", 3),
            ("{\"a\": 1, \"a\": 2}", 9),
            ("\"\\q\"", 0),
            ("\"a", 0),
            ("\"\\", 0),
            ("[tru]", 1),
            ("[01]", 1),
            ("{'a': 1}", 1),
        ] {
            assert_eq!(parse(text).unwrap_err().offset, offset, "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
