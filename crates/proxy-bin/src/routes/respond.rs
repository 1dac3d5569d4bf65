//! Answers that are fixed: a status, fields, content.
//!
//! The values of fields are templates of [`fields`](super::fields); the content is sent as it is.
//! A status that has no content (204, 205, 304) with content is a mistake, as is an interim one.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use super::error::Problems;
use super::fields::{FieldContext, FieldRules};
use super::spec::RespondSpec;

/// What content is, when nothing says otherwise.
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A compiled answer.
#[derive(Debug, Clone)]
pub struct Respond {
    status: StatusCode,
    body: Bytes,
    fields: FieldRules,
}

impl Respond {
    pub(super) fn compile(spec: &RespondSpec, problems: &mut Problems<'_>) -> Option<Self> {
        let status = StatusCode::from_u16(spec.status)
            .ok()
            .filter(|status| (200..600).contains(&status.as_u16()));
        if status.is_none() {
            problems.add("respond.status", "a final status is from 200 to 599");
        }
        if matches!(spec.status, 204 | 205 | 304) && !spec.body.is_empty() {
            problems.add("respond.body", format!("a response with {} has no content", spec.status));
        }
        let fields = FieldRules::setting("respond.fields", &spec.fields, problems);
        let fields = match media_type(spec, problems) {
            Some(value) => fields.and_set(CONTENT_TYPE, value),
            None => fields,
        };
        Some(Self { status: status?, body: spec.body.clone(), fields })
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer to one request. Its content is what a GET gets; a caller that answers a HEAD
    /// leaves it out.
    #[must_use]
    pub fn response(&self, context: &FieldContext<'_>) -> Response<Bytes> {
        let mut response = Response::new(self.body.clone());
        *response.status_mut() = self.status;
        self.fields.apply(&self.fields.prepare(context), response.headers_mut());
        response
    }
}

/// The Content-Type to set, where `fields` has none.
fn media_type(spec: &RespondSpec, problems: &mut Problems<'_>) -> Option<HeaderValue> {
    let key = "respond.content_type";
    let named = spec.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    match &spec.content_type {
        Some(_) if named => {
            problems.add(key, "`respond.fields` has a Content-Type too");
            None
        }
        Some(text) => {
            let value = HeaderValue::from_str(text).ok().filter(|_| text.contains('/'));
            if value.is_none() {
                problems.add(key, format!("{text:?} is not a media type, as `text/html` is"));
            }
            value
        }
        None => (!named && !spec.body.is_empty()).then_some(PLAIN),
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::testing::compiled;
    use super::super::fields::testing::context;
    use super::*;
    use http::HeaderMap;

    fn compile(spec: &RespondSpec) -> Result<Respond, Vec<String>> {
        compiled(|problems| Respond::compile(spec, problems)).map(Option::unwrap)
    }

    fn spec(
        status: u16,
        body: &'static str,
        content_type: &str,
        field: (&str, &str),
    ) -> RespondSpec {
        RespondSpec {
            status,
            body: body.into(),
            content_type: (!content_type.is_empty()).then(|| content_type.to_owned()),
            fields: (!field.0.is_empty())
                .then(|| (field.0.to_owned(), field.1.to_owned()))
                .into_iter()
                .collect(),
        }
    }

    #[test]
    fn responses() {
        let request = HeaderMap::new();
        let cases = [
            (spec(200, "", "", ("", "")), None),
            (spec(200, "hi", "", ("", "")), Some("text/plain; charset=utf-8")),
            (spec(410, "{}", "application/json", ("", "")), Some("application/json")),
            (spec(503, "hi", "", ("content-type", "text/html")), Some("text/html")),
            (spec(200, "", "text/css", ("", "")), Some("text/css")),
            (spec(204, "", "", ("", "")), None),
        ];
        for (spec, content_type) in cases {
            let response = compile(&spec).unwrap().response(&context(&request));
            assert_eq!(response.status().as_u16(), spec.status);
            assert_eq!(*response.body(), spec.body);
            let made = response.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap());
            assert_eq!(made, content_type, "{spec:?}");
        }
    }

    #[test]
    fn field_values_are_templates() {
        let request = HeaderMap::new();
        let respond = compile(&spec(200, "", "", ("X-Id", "{route}/{request_id}"))).unwrap();
        assert_eq!(respond.response(&context(&request)).headers()["x-id"], "r/id-1");
    }

    #[test]
    fn mistakes() {
        let cases = [
            (spec(101, "", "", ("", "")), "respond.status: a final status is from 200 to 599"),
            (spec(600, "", "", ("", "")), "respond.status: a final status"),
            (spec(0, "", "", ("", "")), "respond.status: a final status"),
            (spec(204, "x", "", ("", "")), "respond.body: a response with 204 has no content"),
            (spec(304, "x", "", ("", "")), "respond.body: a response with 304"),
            (
                spec(200, "x", "html", ("", "")),
                "respond.content_type: \"html\" is not a media type",
            ),
            (spec(200, "x", "a/b\n", ("", "")), "respond.content_type: \"a/b\\n\" is not"),
            (
                spec(200, "x", "text/html", ("Content-Type", "text/css")),
                "respond.content_type: `respond.fields` has a Content-Type too",
            ),
            (
                spec(200, "x", "", ("Content-Length", "7")),
                "respond.fields.Content-Length: this field belongs to one connection",
            ),
            (spec(200, "x", "", ("x", "{hots}")), "respond.fields.x: unknown placeholder"),
        ];
        for (spec, expected) in cases {
            let errors = compile(&spec).unwrap_err();
            assert!(errors.len() == 1 && errors[0].starts_with(expected), "{errors:?}");
        }
    }
}
