//! Text with `{placeholders}`, parsed once.
//!
//! `{{` stands for `{` and `}}` for `}`. A placeholder that nobody knows is a mistake that is
//! found when the routes are compiled, with the nearest known one named.

use crate::config::suggest::nearest;

/// A parsed text: literal parts and placeholders of type `P`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template<P> {
    pub(super) parts: Vec<Part<P>>,
}

/// One part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<P> {
    Literal(String),
    Value(P),
}

impl<P> Template<P> {
    /// Parses `text`; `known` gives the placeholder of a name, or a message without the name.
    pub(super) fn parse(
        text: &str,
        known: impl Fn(&str) -> Result<P, String>,
    ) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            let after = &rest[at + 1..];
            if let Some(after) = after.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
            } else if brace == "}" {
                return Err("a `}` closes nothing; write `}}` for the character".into());
            } else {
                let Some((name, after)) = after.split_once('}') else {
                    return Err("a `{` is not closed; write `{{` for the character".into());
                };
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Value(known(name)?));
                rest = after;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// The text, where there is no placeholder.
    pub(super) fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

/// The message about a placeholder that is not one of `known`.
pub(super) fn unknown(name: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(name, known.iter().copied()) {
        return format!("unknown placeholder `{{{name}}}`; did you mean `{{{near}}}`?");
    }
    let list: Vec<String> = known.iter().map(|known| format!("`{{{known}}}`")).collect();
    format!(
        "unknown placeholder `{{{name}}}`; there are {} (write `{{{{` for the character `{{`)",
        list.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Part<String>>, String> {
        let known = ["host", "path", "request_id"];
        let parsed = Template::parse(text, |name| match name {
            name if known.contains(&name) => Ok(name.to_owned()),
            name => Err(unknown(name, &known)),
        });
        parsed.map(|template| template.parts)
    }

    fn literal(text: &str) -> Part<String> {
        Part::Literal(text.into())
    }

    fn value(name: &str) -> Part<String> {
        Part::Value(name.into())
    }

    #[test]
    fn templates() {
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(parse("plain"), Ok(vec![literal("plain")]));
        assert_eq!(parse("{host}"), Ok(vec![value("host")]));
        assert_eq!(
            parse("a{host}{path}b"),
            Ok(vec![literal("a"), value("host"), value("path"), literal("b")])
        );
        assert_eq!(parse("{{host}}"), Ok(vec![literal("{host}")]));
        assert_eq!(parse("{{{host}}}"), Ok(vec![literal("{"), value("host"), literal("}")]));
    }

    #[test]
    fn mistakes() {
        let cases = [
            ("{hots}", "did you mean `{host}`?"),
            ("{Host}", "did you mean `{host}`?"),
            ("{request-id}", "did you mean `{request_id}`?"),
            ("{\"group\":1}", "write `{{` for the character `{`"),
            ("{}", "unknown placeholder `{}`"),
            ("a{host", "is not closed"),
            ("host}", "closes nothing"),
        ];
        for (text, part) in cases {
            let message = parse(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
