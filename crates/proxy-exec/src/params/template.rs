//! An argument with placeholders.

use super::Source;

/// One word of the command line: literal text, and placeholders such as `{query.name}`. A brace is
/// written twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pub(super) parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(Box<str>),
    /// A parameter, by where it comes from and its name.
    Value(Source, Box<str>),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A brace that opens or closes nothing.
    #[error("a `{0}` that is meant as itself is written twice")]
    Brace(char),
    /// A placeholder that names no source.
    #[error(
        "expected a placeholder such as {{query.NAME}}, {{path.NAME}}, {{field.NAME}}, \
         {{form.NAME}} or {{json.NAME}}, found {{{0}}}"
    )]
    Placeholder(String),
}

impl Template {
    /// Text without placeholders, whatever is in it.
    pub fn literal(text: &str) -> Self {
        Self { parts: vec![Part::Literal(text.into())] }
    }

    /// Reads a text.
    ///
    /// # Errors
    /// See [`TemplateError`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            let brace = if from.starts_with('{') { '{' } else { '}' };
            let after = &from[1..];
            if let Some(again) = after.strip_prefix(brace) {
                literal.push(brace);
                rest = again;
                continue;
            }
            let end =
                after.find('}').filter(|_| brace == '{').ok_or(TemplateError::Brace(brace))?;
            let inner = &after[..end];
            let wrong = || TemplateError::Placeholder(inner.to_owned());
            let (source, name) = inner.split_once('.').ok_or_else(wrong)?;
            let source = Source::ALL.into_iter().find(|known| known.word() == source);
            let source = source.filter(|_| !name.is_empty()).ok_or_else(wrong)?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal).into()));
            }
            parts.push(Part::Value(source, name.into()));
            rest = &after[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        Ok(Self { parts })
    }

    /// The parameters that it names.
    pub fn names(&self) -> impl Iterator<Item = (Source, &str)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(source, name) => Some((*source, &**name)),
            Part::Literal(_) => None,
        })
    }

    /// Whether it has a placeholder.
    pub fn has_placeholder(&self) -> bool {
        self.names().next().is_some()
    }

    /// The literal text before the first placeholder.
    pub fn start(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }

    /// With each placeholder replaced by what `value` gives for the name.
    pub(super) fn fill<'a>(&self, value: impl Fn(&str) -> &'a str) -> String {
        let mut text = String::new();
        for part in &self.parts {
            text.push_str(match part {
                Part::Literal(literal) => literal,
                Part::Value(_, name) => value(name),
            });
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_placeholders() {
        let template = Template::parse("d={query.a}:s={path.b}{{x}}").unwrap();
        assert_eq!(
            template.names().collect::<Vec<_>>(),
            [(Source::Query, "a"), (Source::Path, "b")]
        );
        assert_eq!(
            template.fill(|name| if name == "a" { "1" } else { "{query.a}" }),
            "d=1:s={query.a}{x}"
        );
        assert_eq!(template.start(), "d=");
        assert!(!Template::literal("{query.a}").has_placeholder());
    }

    #[test]
    fn what_is_neither_is_an_error() {
        for bad in ["{", "}", "{a}", "{query}", "{query.}", "{env.HOME}", "a}b", "{query.a"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
