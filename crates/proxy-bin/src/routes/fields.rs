//! Fields that a route changes: of the request towards the upstream, of the response towards the
//! client.
//!
//! The changes are made in this order: remove, set, add. `set` leaves exactly one value, `add`
//! adds one. Values may hold placeholders:
//!
//! | placeholder | is |
//! |---|---|
//! | `{host}` | the request's host, without a port |
//! | `{path}`, `{query}` | as the client sent them, normalised and before any rewrite; the query without `?` |
//! | `{method}`, `{scheme}` | of the request |
//! | `{client}` | the client's address, in the form that `[privacy]` gives to upstreams |
//! | `{request_id}` | the request's id |
//! | `{route}` | the route's name |
//! | `{field.NAME}` | the request's field NAME; several lines are joined with `, ` |
//!
//! `{{` and `}}` stand for braces. What comes from a request loses its control bytes, and blanks
//! at both ends of the value go too. What is not there is nothing: a value with placeholders that
//! comes out empty is not sent, and `set` has then removed the field, so that the client's own
//! value never passes for ours.
//!
//! Fields that belong to one connection or to the framing of a message may be neither set, added
//! nor removed, and neither may `Host`, which an upstream's `host` decides, and `Via`.

use std::fmt::{self, Write as _};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::error::Problems;
use super::spec::FieldsSpec;
use super::template::{self, Part, Template};

/// What the placeholders stand for, for one request.
#[derive(Clone, Copy)]
pub struct FieldContext<'a> {
    /// `{method}`
    pub method: &'a http::Method,
    /// `{scheme}`
    pub scheme: &'a str,
    /// `{host}`, without a port.
    pub host: &'a str,
    /// `{path}`, normalised.
    pub path: &'a str,
    /// `{query}`, without the question mark.
    pub query: Option<&'a str>,
    /// `{client}`, in the form that may be shown; formatted only where it is asked for.
    pub client: &'a dyn fmt::Display,
    /// `{request_id}`; formatted only where it is asked for.
    pub request_id: &'a dyn fmt::Display,
    /// `{route}`
    pub route: &'a str,
    /// `{field.NAME}`: the fields of the request, before the route changed any.
    pub fields: &'a HeaderMap,
}

impl fmt::Debug for FieldContext<'_> {
    /// Shows no value: they are the client's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldContext").field("route", &self.route).finish_non_exhaustive()
    }
}

/// The compiled changes. The default changes nothing.
///
/// The values are made once, with [`prepare`](Self::prepare), while the request's fields are still
/// as they came, and applied later; that is what lets a response's fields tell of the request.
#[derive(Debug, Clone, Default)]
pub struct FieldRules {
    remove: Box<[HeaderName]>,
    set: Box<[(HeaderName, FieldValue)]>,
    add: Box<[(HeaderName, FieldValue)]>,
}

/// The values of one request, in the order of the rules. Empty, and not allocated, where no value
/// has a placeholder.
#[derive(Debug, Clone, Default)]
pub struct PreparedFields(Vec<Option<HeaderValue>>);

#[derive(Debug, Clone)]
enum FieldValue {
    Fixed(HeaderValue),
    Made(Template<Placeholder>),
}

#[derive(Debug, Clone)]
enum Placeholder {
    Host,
    Path,
    Query,
    Method,
    Scheme,
    Client,
    RequestId,
    Route,
    Field(HeaderName),
}

const PLACEHOLDERS: [&str; 9] =
    ["host", "path", "query", "method", "scheme", "client", "request_id", "route", "field.NAME"];

impl FieldRules {
    /// Compiles the changes under `key`, as in `request_fields`.
    pub(super) fn compile(key: &str, spec: &FieldsSpec, problems: &mut Problems<'_>) -> Self {
        let mut remove = Vec::new();
        for (at, name) in spec.remove.iter().enumerate() {
            remove.extend(field_name(&format!("{key}.remove[{at}]"), name, problems));
        }
        let set = values(&format!("{key}.set"), &spec.set, problems);
        let add = values(&format!("{key}.add"), &spec.add, problems);
        for (name, _) in &set {
            if remove.contains(name) {
                problems.add(
                    format!("{key}.set.{name}"),
                    "it is removed too; `set` alone replaces what was there",
                );
            }
        }
        Self { remove: remove.into(), set: set.into(), add: add.into() }
    }

    /// Compiles fields that are only set, under `key`.
    pub(super) fn setting(
        key: &str,
        specs: &[(String, String)],
        problems: &mut Problems<'_>,
    ) -> Self {
        Self { set: values(key, specs, problems).into(), ..Self::default() }
    }

    /// Sets one fixed field more.
    pub(super) fn and_set(self, name: HeaderName, value: HeaderValue) -> Self {
        let set = self.set.into_iter().chain([(name, FieldValue::Fixed(value))]).collect();
        Self { set, ..self }
    }

    /// Whether they change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Makes the values that have placeholders. Allocates only for those.
    #[must_use]
    pub fn prepare(&self, context: &FieldContext<'_>) -> PreparedFields {
        let values = self.set.iter().chain(&self.add).map(|(_, value)| value);
        PreparedFields(
            values
                .filter_map(|value| match value {
                    FieldValue::Fixed(_) => None,
                    FieldValue::Made(template) => Some(render(template, context)),
                })
                .collect(),
        )
    }

    /// Makes the changes, with values that these same rules prepared.
    pub fn apply(&self, prepared: &PreparedFields, fields: &mut HeaderMap) {
        let mut made = prepared.0.iter();
        let mut value_of = |value: &FieldValue| match value {
            FieldValue::Fixed(value) => Some(value.clone()),
            FieldValue::Made(_) => made.next().cloned().flatten(),
        };
        for name in &self.remove {
            fields.remove(name);
        }
        for (name, value) in &self.set {
            match value_of(value) {
                Some(value) => fields.insert(name, value),
                None => fields.remove(name),
            };
        }
        for (name, value) in &self.add {
            if let Some(value) = value_of(value) {
                fields.append(name, value);
            }
        }
    }
}

fn values(
    key: &str,
    specs: &[(String, String)],
    problems: &mut Problems<'_>,
) -> Vec<(HeaderName, FieldValue)> {
    let mut values: Vec<(HeaderName, FieldValue)> = Vec::new();
    for (name, text) in specs {
        let key = format!("{key}.{name}");
        let Some(name) = field_name(&key, name, problems) else {
            continue;
        };
        if values.iter().any(|(known, _)| *known == name) {
            problems.add(&key, "the same field stands here twice, in other letters");
        }
        match FieldValue::parse(text) {
            Ok(value) => values.push((name, value)),
            Err(message) => problems.add(&key, message),
        }
    }
    values
}

/// The name, where it is one and may be changed.
fn field_name(key: &str, name: &str, problems: &mut Problems<'_>) -> Option<HeaderName> {
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        problems.add(key, format!("`{name}` is not a field name"));
        return None;
    };
    let message = if parsed == header::HOST {
        "`Host` is decided by the upstream's `host`"
    } else if parsed == header::VIA {
        "`Via` is written by the proxy, which finds loops by it"
    } else if is_hop_by_hop(&parsed) || parsed == header::CONTENT_LENGTH {
        "this field belongs to one connection or to the framing of a message, and the proxy's own"
    } else {
        return Some(parsed);
    };
    problems.add(key, message);
    None
}

/// Fields that belong to one connection.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    let known = [
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    known.contains(name)
        || matches!(name.as_str(), "keep-alive" | "http2-settings")
        || name.as_str().starts_with("proxy-")
}

impl FieldValue {
    fn parse(text: &str) -> Result<Self, String> {
        let template = Template::parse(text, Placeholder::parse)?;
        let is_value =
            |literal: &str| literal.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        let not_value = || "a value is printable ASCII on one line".to_owned();
        if template.parts.iter().any(|part| matches!(part, Part::Literal(text) if !is_value(text)))
        {
            return Err(not_value());
        }
        match template.as_literal() {
            Some(text) => {
                HeaderValue::from_str(text.trim()).map(Self::Fixed).map_err(|_| not_value())
            }
            None => Ok(Self::Made(template)),
        }
    }
}

/// What a value is made of, as far as it tells of who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The client's address.
    Client,
    /// The request's id.
    RequestId,
    /// The path as the client sent it.
    Path,
    /// A field of the request.
    Field(HeaderName),
    /// Anything else: the same for all requests with one key in a cache.
    Other,
}

/// What the placeholders of a value stand for; none for a value that is not valid.
pub fn sources(text: &str) -> Vec<Source> {
    let template = Template::parse(text, Placeholder::parse);
    let parts = template.map(|template| template.parts).unwrap_or_default();
    let source = |part| match part {
        Part::Literal(_) => None,
        Part::Value(Placeholder::Client) => Some(Source::Client),
        Part::Value(Placeholder::RequestId) => Some(Source::RequestId),
        Part::Value(Placeholder::Path) => Some(Source::Path),
        Part::Value(Placeholder::Field(name)) => Some(Source::Field(name)),
        Part::Value(
            Placeholder::Host
            | Placeholder::Query
            | Placeholder::Method
            | Placeholder::Scheme
            | Placeholder::Route,
        ) => Some(Source::Other),
    };
    parts.into_iter().filter_map(source).collect()
}

impl Placeholder {
    fn parse(name: &str) -> Result<Self, String> {
        Ok(match name {
            "host" => Self::Host,
            "path" => Self::Path,
            "query" => Self::Query,
            "method" => Self::Method,
            "scheme" => Self::Scheme,
            "client" => Self::Client,
            "request_id" => Self::RequestId,
            "route" => Self::Route,
            name => {
                let Some(field) = name.strip_prefix("field.") else {
                    return Err(template::unknown(name, &PLACEHOLDERS));
                };
                let parsed = HeaderName::from_bytes(field.as_bytes());
                Self::Field(parsed.map_err(|_| format!("`{field}` is not a field name"))?)
            }
        })
    }
}

/// The value, where it is not empty.
fn render(template: &Template<Placeholder>, context: &FieldContext<'_>) -> Option<HeaderValue> {
    let mut out = Safe(Vec::new());
    for part in &template.parts {
        // Writing to memory does not fail; a Display that does leaves what it wrote.
        let _ = match part {
            Part::Literal(text) => out.write_str(text),
            Part::Value(Placeholder::Host) => out.write_str(context.host),
            Part::Value(Placeholder::Path) => out.write_str(context.path),
            Part::Value(Placeholder::Query) => out.write_str(context.query.unwrap_or_default()),
            Part::Value(Placeholder::Method) => out.write_str(context.method.as_str()),
            Part::Value(Placeholder::Scheme) => out.write_str(context.scheme),
            Part::Value(Placeholder::Client) => write!(out, "{}", context.client),
            Part::Value(Placeholder::RequestId) => write!(out, "{}", context.request_id),
            Part::Value(Placeholder::Route) => out.write_str(context.route),
            Part::Value(Placeholder::Field(name)) => {
                for (at, value) in context.fields.get_all(name).iter().enumerate() {
                    if at > 0 {
                        out.push(b", ");
                    }
                    out.push(value.as_bytes());
                }
                Ok(())
            }
        };
    }
    let value = out.0.trim_ascii();
    if value.is_empty() { None } else { HeaderValue::from_bytes(value).ok() }
}

/// Takes everything but control bytes.
struct Safe(Vec<u8>);

impl Safe {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes.iter().filter(|byte| !byte.is_ascii_control()));
    }
}

impl fmt::Write for Safe {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! A request for templates.

    use super::*;

    /// A context with one value for everything.
    pub(in crate::routes) fn context(fields: &HeaderMap) -> FieldContext<'_> {
        FieldContext {
            method: &http::Method::GET,
            scheme: "https",
            host: "x.test",
            path: "/a/b",
            query: Some("c=d"),
            client: &"192.0.2.7",
            request_id: &"id-1",
            route: "r",
            fields,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::testing::compiled;
    use super::testing::context;
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn compile(
        set: &[(&str, &str)],
        add: &[(&str, &str)],
        remove: &[&str],
    ) -> Result<FieldRules, Vec<String>> {
        let remove = remove.iter().map(ToString::to_string).collect();
        let spec = FieldsSpec { set: pairs(set), add: pairs(add), remove };
        compiled(|problems| FieldRules::compile("request_fields", &spec, problems))
    }

    fn request() -> HeaderMap {
        let mut fields = HeaderMap::new();
        fields.append("x-one", HeaderValue::from_static("1"));
        fields.append("x-two", HeaderValue::from_static("a"));
        fields.append("x-two", HeaderValue::from_static("b"));
        fields.append("x-bytes", HeaderValue::from_bytes(b"a\tb\xff").unwrap());
        fields
    }

    fn value(template: &str, context: &FieldContext<'_>) -> Option<HeaderValue> {
        let rules = compile(&[("x-made", template)], &[], &[]).unwrap();
        let mut fields = HeaderMap::new();
        fields.insert("x-made", HeaderValue::from_static("the client's own"));
        rules.apply(&rules.prepare(context), &mut fields);
        fields.remove("x-made")
    }

    #[test]
    fn remove_then_set_then_add() {
        let rules = compile(
            &[("X-One", "2"), ("x-new", "n")],
            &[("x-one", "3"), ("x-two", "{route}"), ("X-None", "{field.x-missing}")],
            &["X-Two", "x-absent"],
        )
        .unwrap();
        let mut fields = request();
        let prepared = rules.prepare(&context(&fields));
        rules.apply(&prepared, &mut fields);
        let all = |name: &str| -> Vec<&str> {
            fields.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
        };
        assert_eq!(all("x-one"), ["2", "3"]);
        assert_eq!(all("x-two"), ["r"]);
        assert_eq!(all("x-new"), ["n"]);
        assert!(all("x-none").is_empty());
        assert!(FieldRules::default().is_empty() && !rules.is_empty());
    }

    #[test]
    fn values_without_placeholders_are_made_once() {
        let rules = compile(&[("x-a", "fixed {{}}")], &[("x-b", "")], &[]).unwrap();
        let mut fields = request();
        let prepared = rules.prepare(&context(&fields));
        assert_eq!(prepared.0.capacity(), 0);
        rules.apply(&prepared, &mut fields);
        assert_eq!(
            (&fields["x-a"], &fields["x-b"]),
            (&"fixed {}".parse().unwrap(), &"".parse().unwrap())
        );
    }

    #[test]
    fn placeholders() {
        let fields = request();
        let context = context(&fields);
        let cases: &[(&str, &[u8])] = &[
            ("{scheme}://{host}{path}?{query}", b"https://x.test/a/b?c=d"),
            ("{method} {client} {request_id} {route}", b"GET 192.0.2.7 id-1 r"),
            ("{field.X-One}", b"1"),
            ("{field.x-two}", b"a, b"),
            ("[{field.x-missing}]", b"[]"),
            ("{field.x-bytes}", b"ab\xff"),
            (" {route} ", b"r"),
        ];
        for (template, expected) in cases {
            let made = value(template, &context);
            assert_eq!(made.as_ref().map(HeaderValue::as_bytes), Some(*expected), "{template}");
        }
        assert_eq!(value("{field.x-missing}", &context), None);
        assert_eq!(value("{query}", &FieldContext { query: None, ..context }), None);
    }

    /// A value from a request cannot end a field.
    #[test]
    fn control_bytes_never_reach_a_field() {
        let fields = request();
        let context =
            FieldContext { path: "/a\r\nx-evil: 1\0\u{7f}", client: &"1\n2", ..context(&fields) };
        assert_eq!(value("{path}", &context).unwrap(), "/ax-evil: 1");
        assert_eq!(value("{client}", &context).unwrap(), "12");
        assert_eq!(value("{path}", &FieldContext { path: "\r\n", ..context }), None);
    }

    #[test]
    fn protected_fields_are_refused() {
        let protected = [
            "Connection",
            "Transfer-Encoding",
            "Content-Length",
            "TE",
            "Trailer",
            "Upgrade",
            "Keep-Alive",
            "Proxy-Authorization",
            "Proxy-Connection",
            "proxy-anything",
            "Via",
            "Host",
            "HTTP2-Settings",
        ];
        for name in protected {
            for errors in [
                compile(&[(name, "x")], &[], &[]).unwrap_err(),
                compile(&[], &[(name, "x")], &[]).unwrap_err(),
                compile(&[], &[], &[name]).unwrap_err(),
            ] {
                assert_eq!(errors.len(), 1, "{name}: {errors:?}");
            }
        }
        assert!(compile(&[("X-Forwarded-Proto", "https")], &[], &["Server", "Cookie"]).is_ok());
    }

    #[test]
    fn mistakes() {
        let cases = [
            (
                compile(&[("x", "{hots}")], &[], &[]),
                "request_fields.set.x: unknown placeholder `{hots}`; did you mean `{host}`?",
            ),
            (
                compile(&[("x", "{rest}")], &[], &[]),
                "request_fields.set.x: unknown placeholder `{rest}`",
            ),
            (
                compile(&[("x", "{field.a b}")], &[], &[]),
                "request_fields.set.x: `a b` is not a field name",
            ),
            (
                compile(&[("x", "{field.}")], &[], &[]),
                "request_fields.set.x: `` is not a field name",
            ),
            (
                compile(&[], &[("x", "a\r\nb")], &[]),
                "request_fields.add.x: a value is printable ASCII",
            ),
            (
                compile(&[], &[("x", "ü{host}")], &[]),
                "request_fields.add.x: a value is printable ASCII",
            ),
            (
                compile(&[("a b", "c")], &[], &[]),
                "request_fields.set.a b: `a b` is not a field name",
            ),
            (compile(&[], &[], &["x", "y:"]), "request_fields.remove[1]: `y:` is not a field name"),
            (
                compile(&[("x", "1"), ("X", "2")], &[], &[]),
                "request_fields.set.X: the same field stands here twice",
            ),
            (compile(&[("x", "1")], &[], &["X"]), "request_fields.set.x: it is removed too"),
        ];
        for (compiled, expected) in cases {
            let errors = compiled.unwrap_err();
            assert!(errors.len() == 1 && errors[0].starts_with(expected), "{errors:?}");
        }
    }
}
