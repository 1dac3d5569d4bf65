//! From a request to the words of a command line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::kind::below;
use super::sources::{Pair, members, pairs};
use super::{Kind, Param, PathPattern, Source, Template};

/// What may stand in a query as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What is shown instead of a secret.
const REDACTED: &str = "[redacted]";

/// Why a request has no command line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParamError {
    /// The declared parameter; none where it is about another one, or the whole.
    pub param: Option<Box<str>>,
    /// A token such as `param_pattern`.
    pub reason: &'static str,
}

/// The declared parameters of a program.
#[derive(Clone, Debug, Default)]
pub struct Params {
    list: BTreeMap<Box<str>, Param>,
    path: Option<PathPattern>,
}

/// The values of one request, each judged by its type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    values: BTreeMap<Box<str>, (String, bool)>,
    /// The path and the query in their one spelling.
    target: String,
}

impl Params {
    /// These parameters; `path` has those that are segments of the path.
    pub fn new(list: impl IntoIterator<Item = (String, Param)>, path: Option<PathPattern>) -> Self {
        let list = list.into_iter().map(|(name, param)| (name.into(), param)).collect();
        Self { list, path }
    }

    /// Declares one more.
    pub fn add(&mut self, name: &str, param: Param) {
        self.list.insert(name.into(), param);
    }

    /// A declared parameter.
    pub fn get(&self, name: &str) -> Option<&Param> {
        self.list.get(name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Param)> {
        self.list.iter().map(|(name, param)| (&**name, param))
    }

    /// Which content they are read from, if from any.
    pub fn content(&self) -> Option<Source> {
        self.list.values().map(|param| param.source).find(|source| source.is_content())
    }

    /// The parameter whose URL is fetched, if there is one.
    pub fn fetched(&self) -> Option<&str> {
        self.iter().find(|(_, param)| param.fetch).map(|(name, _)| name)
    }

    /// The field names that the words depend on.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let fields = self.list.iter().filter(|(_, param)| param.source == Source::Field);
        fields.map(|(name, param)| param.wire_name.as_deref().unwrap_or(name))
    }

    /// What is wrong with the declarations themselves.
    pub fn check(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let segments: Vec<&str> = self.path.iter().flat_map(PathPattern::names).collect();
        let content = self.content();
        for (name, param) in self.iter() {
            let mut say = |text: &str| found.push((name.to_owned(), text.to_owned()));
            let judged = param.default.as_ref().map(|default| {
                let judged = param.judge(default)?;
                match &param.kind {
                    Kind::Path { root } => below(root, &judged),
                    _ => Ok(judged),
                }
            });
            if let Some(Err(reason)) = judged {
                say(&format!("the default is refused by the parameter's own type ({reason})"));
            }
            if param.source == Source::Path && !segments.contains(&name) {
                say("`path` has no segment of this name");
            }
            if param.fetch && !matches!(param.kind, Kind::Url) {
                say("only what a URL names can be fetched");
            }
            if param.fetch && self.fetched() != Some(name) {
                say("standard input is one: no other URL can be fetched");
            }
            if param.wire_name.is_some() && param.source != Source::Field {
                say("only fields have another name than their parameter");
            }
            if param.source.is_content() && Some(param.source) != content {
                say("parameters come from one content: all of it is a form, or all is JSON");
            }
            let wire_name = param.wire_name.as_deref().unwrap_or(name);
            if param.source == Source::Field
                && http::HeaderName::from_bytes(wire_name.as_bytes()).is_err()
            {
                say("expected the name of a field");
            }
        }
        for segment in segments {
            if self.get(segment).is_none_or(|param| param.source != Source::Path) {
                let text = "a segment of `path` that no parameter with in = \"path\" declares";
                found.push((segment.to_owned(), text.to_owned()));
            }
        }
        found
    }

    /// The values that are paths, each with its name and the folder that it is below.
    pub(crate) fn paths(&self, checked: &Checked) -> Vec<(Box<str>, PathBuf, String)> {
        let paths = self.list.iter().filter_map(|(name, param)| match &param.kind {
            Kind::Path { root } => {
                let (value, _) = checked.values.get(name)?;
                Some((name.clone(), root.clone(), value.clone()))
            }
            _ => None,
        });
        paths.collect()
    }

    /// The values of a request. `content` where parameters come from it.
    ///
    /// # Errors
    /// The first parameter that is unknown, repeated, missing, or not of its type.
    pub fn read(&self, parts: &Parts, content: Option<&[u8]>) -> Result<Checked, ParamError> {
        let whole = |reason| ParamError { param: None, reason };
        let mut given: BTreeMap<&str, String> = BTreeMap::new();
        let query = pairs(parts.uri.query().unwrap_or_default()).map_err(whole)?;
        self.take(Source::Query, query, &mut given)?;
        if let Some(path) = &self.path {
            let pairs = path.pairs(parts.uri.path()).ok_or_else(|| whole("no_route"))?;
            self.take(Source::Path, pairs.map_err(whole)?, &mut given)?;
        }
        if let (Some(source), Some(content)) = (self.content(), content) {
            let pairs = if source == Source::Json {
                members(content)
            } else {
                std::str::from_utf8(content).map_err(|_| "param_encoding").and_then(pairs)
            };
            self.take(source, pairs.map_err(whole)?, &mut given)?;
        }
        for (name, param) in self.list.iter().filter(|(_, param)| param.source == Source::Field) {
            let mut values =
                parts.headers.get_all(param.wire_name.as_deref().unwrap_or(name)).iter();
            let error = |reason| ParamError { param: Some(name.clone()), reason };
            if let Some(value) = values.next() {
                let text = std::str::from_utf8(value.as_bytes());
                given.insert(name, text.map_err(|_| error("param_encoding"))?.to_owned());
            }
            if values.next().is_some() {
                return Err(error("param_repeated"));
            }
        }
        self.judge(given, parts)
    }

    /// Takes what a source has: each of its names declared, and there once.
    fn take<'a>(
        &'a self,
        source: Source,
        pairs: Vec<Pair<'_>>,
        given: &mut BTreeMap<&'a str, String>,
    ) -> Result<(), ParamError> {
        for (name, value) in pairs {
            let Some((own, _)) =
                self.list.get_key_value(&*name).filter(|(_, param)| param.source == source)
            else {
                return Err(ParamError { param: None, reason: "param_unknown" });
            };
            if given.insert(own, value.into_owned()).is_some() {
                return Err(ParamError { param: Some(own.clone()), reason: "param_repeated" });
            }
        }
        Ok(())
    }

    fn judge(
        &self,
        mut given: BTreeMap<&str, String>,
        parts: &Parts,
    ) -> Result<Checked, ParamError> {
        let mut values = BTreeMap::new();
        let mut target = parts.uri.path().to_owned();
        let mut mark = '?';
        for (name, param) in &self.list {
            let error = |reason| ParamError { param: Some(name.clone()), reason };
            let value = match (given.remove(&**name), &param.default) {
                (Some(value), _) => Cow::Owned(value),
                (None, Some(default)) => Cow::Borrowed(&**default),
                (None, None) => return Err(error("param_missing")),
            };
            let judged = param.judge(&value).map_err(error)?;
            if param.source == Source::Query {
                // In the order of the names, with the defaults: the same run, the same target.
                target.push(mark);
                target.extend(utf8_percent_encode(name, QUERY));
                target.push('=');
                target.extend(utf8_percent_encode(&value, QUERY));
                mark = '&';
            }
            values.insert(name.clone(), (judged, param.secret));
        }
        Ok(Checked { values, target })
    }
}

impl Param {
    /// Judges a value; gives what the program sees.
    fn judge(&self, value: &str) -> Result<String, &'static str> {
        if value.len() > self.max_length {
            return Err("param_too_long");
        }
        if value.chars().any(char::is_control) {
            return Err("param_control");
        }
        if value.starts_with('-') && !self.allow_dash {
            return Err("param_leading_dash");
        }
        self.kind.judge(value)
    }
}

impl Checked {
    /// The path and the query of the request in their one spelling: sorted, with the defaults.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Says what a path stands for.
    pub(crate) fn locate(&mut self, name: &str, path: String) {
        if let Some((value, _)) = self.values.get_mut(name) {
            *value = path;
        }
    }

    /// The value of a parameter.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str())
    }

    /// The value of a parameter as it may be shown.
    pub(crate) fn value_shown(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some((_, true)) => REDACTED,
            Some((value, false)) => value,
            None => "",
        }
    }

    /// A word of the command line. Paths are absolute once they have been looked for.
    pub fn fill(&self, template: &Template) -> String {
        template.fill(|name| self.values.get(name).map_or("", |(value, _)| value))
    }

    /// The same as it may be shown.
    pub fn fill_shown(&self, template: &Template) -> String {
        template.fill(|name| self.value_shown(name))
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn params() -> Params {
        let range = Kind::Integer { min: 1, max: 60 };
        Params::new(
            [
                ("seconds".to_owned(), Param::new(Source::Query, range).or("5")),
                (
                    "size".to_owned(),
                    Param::new(Source::Query, Kind::pattern("[0-9]+x[0-9]+|-.*").unwrap())
                        .or("6x3"),
                ),
                ("id".to_owned(), Param::new(Source::Path, Kind::pattern("[^/]+").unwrap())),
                ("key".to_owned(), {
                    let mut key =
                        Param::new(Source::Field, Kind::Choice(vec!["a".into(), "".into()]))
                            .or("a")
                            .secret();
                    key.wire_name = Some("x-key".into());
                    key
                }),
            ],
            PathPattern::parse("/clip/{id}"),
        )
    }

    fn read(target: &str, fields: &[(&str, &str)]) -> Result<Checked, &'static str> {
        let mut request = Request::get(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        params().read(&parts, None).map_err(|error| error.reason)
    }

    #[test]
    fn one_run_has_one_spelling() {
        assert!(params().check().is_empty(), "{:?}", params().check());
        for same in
            ["/clip/a", "/clip/a?size=6x3", "/clip/a?size=6x3&seconds=5", "/clip/a?&%73econds=5"]
        {
            assert_eq!(read(same, &[]).unwrap().target(), "/clip/a?seconds=5&size=6x3", "{same}");
        }
    }

    #[test]
    fn what_is_not_declared_or_not_of_its_type_is_refused() {
        for (target, reason) in [
            ("/clip/a?other=1", "param_unknown"),
            ("/clip/a?id=1", "param_unknown"),
            ("/clip/a?seconds=1&seconds=1", "param_repeated"),
            ("/clip/a?seconds=1&%73econds=2", "param_repeated"),
            ("/clip/a?seconds=0", "param_out_of_range"),
            ("/clip/a?seconds=", "param_not_an_integer"),
            ("/clip/a?seconds=-1", "param_leading_dash"),
            ("/clip/a?size=-1", "param_leading_dash"),
            ("/clip/a?size=1x1%0a", "param_control"),
            ("/clip/a?size=1x1%00", "param_control"),
            ("/clip/a?size=%ff", "param_encoding"),
            ("/clip/a/b", "no_route"),
            ("/clip/%2e%2e%0d", "param_control"),
        ] {
            assert_eq!(read(target, &[]), Err(reason), "{target}");
        }
        let long = format!("/clip/{}", "a".repeat(1025));
        assert_eq!(read(&long, &[]), Err("param_too_long"));
        assert_eq!(read("/clip/a", &[("x-key", "b")]), Err("param_not_a_choice"));
        assert_eq!(read("/clip/a", &[("x-key", "a"), ("x-key", "a")]), Err("param_repeated"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let checked = read("/clip/i", &[("x-key", "a")]).unwrap();
        let template = Template::parse("{path.id}/{field.key}").unwrap();
        assert_eq!(checked.fill(&template), "i/a");
        assert_eq!(checked.fill_shown(&template), "i/[redacted]");
    }

    #[test]
    fn declarations_are_held_to_themselves() {
        let bad = Params::new(
            [
                ("a".to_owned(), Param::new(Source::Query, Kind::Boolean).or("maybe")),
                ("b".to_owned(), Param::new(Source::Path, Kind::Boolean)),
                ("c".to_owned(), Param::new(Source::Form, Kind::Boolean)),
                ("d".to_owned(), Param::new(Source::Json, Kind::Boolean)),
            ],
            PathPattern::parse("/x/{y}"),
        );
        let found: Vec<_> = bad.check().into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, ["a", "b", "d", "y"]);
    }
}
