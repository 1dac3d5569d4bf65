//! What a request may look like, and the judgement of its head.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body::SizeHint;
use proxy_core::RequestHead;
use proxy_core::exchange::{Exchange, SentFields};

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
    /// Field lines, as the client sent them: what a proxy takes away or adds is not counted,
    /// where an [`Exchange`] knows of it.
    pub fields: Option<usize>,
    /// Bytes of the value of a field line.
    pub field_length: Option<usize>,
    /// Bytes of all names and values of fields.
    pub fields_size: Option<usize>,
    /// Fields that must be there.
    pub required_fields: Vec<HeaderName>,
    /// Query parameters that must be there, decoded.
    pub required_parameters: Vec<String>,
    /// Bytes of content; more get 413.
    pub content_size: Option<u64>,
    /// Path, query and textual content must be UTF-8.
    pub utf8: bool,
    /// The structure of JSON content.
    pub json: Option<JsonRules>,
    /// What JSON content must be; content that is no JSON gets 415. The content must have the
    /// structure that `json` says, or the default one.
    pub schema: Option<Arc<dyn ContentSchema>>,
    /// Bytes of content that are held for the schema; more get 413.
    pub schema_size: usize,
    /// Says what is wrong, and lets it pass. The first fault of a request is said; content is then
    /// copied for a schema, and not kept back.
    pub report: bool,
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
            content_size: None,
            utf8: false,
            json: None,
            schema: None,
            schema_size: DEFAULT_SCHEMA_SIZE,
            report: false,
        }
    }
}

/// The structure of JSON. Content must be well formed JSON, too, no object may have two members of
/// one name, and half a surrogate pair is no character: readers disagree on what those mean
/// (RFC 8259 section 4, RFC 7493 sections 2.1 and 2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonRules {
    /// Containers within containers. Default 32.
    pub depth: usize,
    /// Members of one object; of each that is open, 8 bytes are kept. Default 1000.
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
    pub(super) size: bool,
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
    /// Judges the head; what is due of the content. `content`: how much there is, where there is
    /// any.
    pub(super) fn judge(
        &self,
        head: &RequestHead<'_>,
        content: Option<SizeHint>,
    ) -> Result<Due, Fault> {
        if !self.methods.is_empty() && !self.methods.contains(head.method) {
            return Err(Fault::MethodNotAllowed);
        }
        self.judge_target(head)?;
        self.judge_fields(head)?;
        // Who asks what would be says what content would come, and sends none.
        let is_asked = || head.exchange().is_some_and(Exchange::is_rehearsal);
        let content = content.or_else(|| {
            (head.fields.contains_key(header::CONTENT_TYPE) && is_asked()).then(SizeHint::new)
        });
        let Some(size) = content else { return Ok(Due::default()) };
        if self.content_size.is_some_and(|most| size.lower() > most) {
            return Err(Fault::ContentTooLarge);
        }
        let due = self.judge_type(head.fields)?;
        Ok(Due { size: self.content_size.is_some() && size.exact().is_none(), ..due })
    }

    /// The methods, as a field.
    pub(super) fn allow(&self) -> HeaderValue {
        let names: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static(""))
    }

    fn judge_target(&self, head: &RequestHead<'_>) -> Result<(), Fault> {
        let (path, query) = (head.target.path(), head.target.query());
        let length = path.len() + query.map_or(0, |query| query.len() + 1);
        if over(length, self.target_length) {
            return Err(Fault::TargetTooLong);
        }
        let query = query.unwrap_or("");
        if self.utf8 && !(query::is_utf8(path) && query::is_utf8(query)) {
            return Err(Fault::TargetNotUtf8);
        }
        if over(query::parameters(query).count(), self.parameters) {
            return Err(Fault::TooManyParameters);
        }
        if self.parameter_name_length.is_some() || self.parameter_value_length.is_some() {
            let long = query::parameters(query).any(|(name, value)| {
                over(query::len(name), self.parameter_name_length)
                    || over(query::len(value), self.parameter_value_length)
            });
            if long {
                return Err(Fault::ParameterTooLong);
            }
        }
        let has = |own: &String| query::parameters(query).any(|(name, _)| query::is(name, own));
        match self.required_parameters.iter().all(has) {
            true => Ok(()),
            false => Err(Fault::ParameterRequired),
        }
    }

    fn judge_fields(&self, head: &RequestHead<'_>) -> Result<(), Fault> {
        let fields = head.fields;
        if self.fields.is_some() || self.field_length.is_some() || self.fields_size.is_some() {
            let facts = head.exchange().and_then(Exchange::facts);
            let sent = facts.map_or_else(|| SentFields::of(fields), |facts| facts.sent_fields);
            if over(sent.lines, self.fields) {
                return Err(Fault::TooManyFields);
            }
            if over(sent.longest, self.field_length) {
                return Err(Fault::FieldTooLong);
            }
            if over(sent.size, self.fields_size) {
                return Err(Fault::FieldsTooLarge);
            }
        }
        match self.required_fields.iter().all(|name| fields.contains_key(name)) {
            true => Ok(()),
            false => Err(Fault::FieldRequired),
        }
    }

    fn judge_type(&self, fields: &HeaderMap) -> Result<Due, Fault> {
        let wrong = Fault::ContentTypeNotAllowed;
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
            json: json && (self.json.is_some() || self.schema.is_some()),
            schema: json && self.schema.is_some(),
            size: false,
        };
        if due.is_nothing() {
            return Ok(due);
        }
        let known = |name: &str| {
            ["utf-8", "utf8", "us-ascii"].iter().any(|own| name.eq_ignore_ascii_case(own))
        };
        if !parts.filter_map(charset).all(known) {
            return Err(Fault::CharsetNotAllowed);
        }
        // What is coded can not be judged, and what can not be judged does not pass.
        let coded = fields.get_all(header::CONTENT_ENCODING).iter();
        match coded.into_iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            true => Ok(due),
            false => Err(Fault::ContentCodingNotAllowed),
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
