//! What a request may look like, and the judgement of its head.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use proxy_core::{Refusal, RequestHead};

use super::fault::Fault;
use super::query;
use super::schema::{ContentSchema, DEFAULT_SCHEMA_SIZE};

/// What a request may look like. Nothing said: anything.
#[derive(Clone, Debug)]
pub struct InputRules {
    /// The methods; others get 405. None given: all.
    pub methods: Vec<Method>,
    /// Media types of content: `application/json`, or `text/*`. Content of another type, or of
    /// none, gets 415. None given: all.
    pub content_types: Vec<String>,
    /// Bytes of path and query.
    pub target_length: Option<usize>,
    /// Query parameters.
    pub parameters: Option<usize>,
    /// Bytes of the name of a query parameter, decoded.
    pub parameter_name_length: Option<usize>,
    /// Bytes of the value of a query parameter, decoded.
    pub parameter_value_length: Option<usize>,
    /// Field lines.
    pub fields: Option<usize>,
    /// Bytes of the value of a field line.
    pub field_length: Option<usize>,
    /// Bytes of all names and values of fields.
    pub fields_size: Option<usize>,
    /// Fields that must be there.
    pub required_fields: Vec<HeaderName>,
    /// Query parameters that must be there, decoded.
    pub required_parameters: Vec<String>,
    /// Path, query and textual content must be UTF-8.
    pub utf8: bool,
    /// The structure of JSON content.
    pub json: Option<JsonRules>,
    /// What JSON content must be; content that is no JSON gets 415.
    pub schema: Option<Arc<dyn ContentSchema>>,
    /// Bytes of content that are held for the schema; more get 413.
    pub schema_size: usize,
}

impl Default for InputRules {
    fn default() -> Self {
        Self {
            methods: Vec::new(),
            content_types: Vec::new(),
            target_length: None,
            parameters: None,
            parameter_name_length: None,
            parameter_value_length: None,
            fields: None,
            field_length: None,
            fields_size: None,
            required_fields: Vec::new(),
            required_parameters: Vec::new(),
            utf8: false,
            json: None,
            schema: None,
            schema_size: DEFAULT_SCHEMA_SIZE,
        }
    }
}

/// The structure of JSON. Content must be well formed JSON, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonRules {
    /// Containers within containers. Default 32.
    pub depth: usize,
    /// Members of one object. Default 1000.
    pub members: u32,
    /// Bytes of a name or a string, as they are written. Default 65,536.
    pub string_length: u64,
}

impl Default for JsonRules {
    fn default() -> Self {
        Self { depth: 32, members: 1000, string_length: 65_536 }
    }
}

/// What is to be looked for in the content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) utf8: bool,
    pub(super) json: bool,
    pub(super) schema: bool,
}

impl Due {
    pub(super) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl InputRules {
    /// Judges the head; what is due of the content. `content`: whether there is any.
    pub(super) fn judge(&self, head: &RequestHead<'_>, content: bool) -> Result<Due, Box<Refusal>> {
        if !self.methods.is_empty() && !self.methods.contains(head.method) {
            let refusal = Fault(405, "method_not_allowed").refusal(false);
            return Err(Box::new(refusal.field(header::ALLOW, self.allow())));
        }
        let fault = self.judge_target(head).and_then(|()| self.judge_fields(head.fields));
        fault
            .and_then(|()| if content { self.judge_type(head.fields) } else { Ok(Due::default()) })
            .map_err(|fault| Box::new(fault.refusal(false)))
    }

    fn allow(&self) -> HeaderValue {
        let names: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static(""))
    }

    fn judge_target(&self, head: &RequestHead<'_>) -> Result<(), Fault> {
        let (path, query) = (head.target.path(), head.target.query());
        let length = path.len() + query.map_or(0, |query| query.len() + 1);
        if over(length, self.target_length) {
            return Err(Fault(414, "target_too_long"));
        }
        let query = query.unwrap_or("");
        if self.utf8 && !(query::is_utf8(path) && query::is_utf8(query)) {
            return Err(Fault(400, "target_not_utf8"));
        }
        if over(query::parameters(query).count(), self.parameters) {
            return Err(Fault(400, "too_many_parameters"));
        }
        if self.parameter_name_length.is_some() || self.parameter_value_length.is_some() {
            let long = query::parameters(query).any(|(name, value)| {
                over(query::len(name), self.parameter_name_length)
                    || over(query::len(value), self.parameter_value_length)
            });
            if long {
                return Err(Fault(400, "parameter_too_long"));
            }
        }
        let has = |own: &String| query::parameters(query).any(|(name, _)| query::is(name, own));
        match self.required_parameters.iter().all(has) {
            true => Ok(()),
            false => Err(Fault(400, "parameter_required")),
        }
    }

    fn judge_fields(&self, fields: &HeaderMap) -> Result<(), Fault> {
        if over(fields.len(), self.fields) {
            return Err(Fault(431, "too_many_fields"));
        }
        if fields.values().any(|value| over(value.len(), self.field_length)) {
            return Err(Fault(431, "field_too_long"));
        }
        let size = || fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if self.fields_size.is_some() && over(size(), self.fields_size) {
            return Err(Fault(431, "fields_too_large"));
        }
        match self.required_fields.iter().all(|name| fields.contains_key(name)) {
            true => Ok(()),
            false => Err(Fault(400, "field_required")),
        }
    }

    fn judge_type(&self, fields: &HeaderMap) -> Result<Due, Fault> {
        let wrong = Fault(415, "content_type_not_allowed");
        let mut lines = fields.get_all(header::CONTENT_TYPE).iter();
        let line = lines.next().map(|value| value.to_str().map_err(|_| wrong)).transpose()?;
        if lines.next().is_some() {
            return Err(wrong);
        }
        let mut parts = line.unwrap_or("").split(';').map(str::trim);
        let media = parts.next().unwrap_or("").to_ascii_lowercase();
        if !self.content_types.is_empty() && !self.content_types.iter().any(|own| fits(own, &media))
        {
            return Err(wrong);
        }
        let json = media == "application/json" || media.ends_with("+json");
        if self.schema.is_some() && !json {
            return Err(wrong);
        }
        let due = Due {
            utf8: self.utf8 && (json || is_text(&media)),
            json: json && self.json.is_some(),
            schema: json && self.schema.is_some(),
        };
        if due.is_nothing() {
            return Ok(due);
        }
        if let Some(charset) = parts.find_map(charset)
            && !["utf-8", "utf8", "us-ascii"].iter().any(|own| charset.eq_ignore_ascii_case(own))
        {
            return Err(Fault(415, "charset_not_allowed"));
        }
        // What is coded can not be judged, and what can not be judged does not pass.
        let coded = fields.get_all(header::CONTENT_ENCODING).iter();
        match coded.into_iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            true => Ok(due),
            false => Err(Fault(415, "content_coding_not_allowed")),
        }
    }
}

fn over(found: usize, limit: Option<usize>) -> bool {
    limit.is_some_and(|limit| found > limit)
}

fn charset(parameter: &str) -> Option<&str> {
    let (name, value) = parameter.split_once('=')?;
    name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
}

/// Whether a media type is of a range such as `text/*`.
fn fits(range: &str, media: &str) -> bool {
    match range.strip_suffix("/*") {
        Some(kind) => media.split_once('/').is_some_and(|(own, _)| own.eq_ignore_ascii_case(kind)),
        None => range == "*/*" || range.eq_ignore_ascii_case(media),
    }
}

fn is_text(media: &str) -> bool {
    media.starts_with("text/")
        || media.ends_with("+xml")
        || matches!(media, "application/xml" | "application/x-www-form-urlencoded")
}
