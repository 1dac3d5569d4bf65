//! What requests may look like: for all, and for routes that say it otherwise.

use std::fs;
use std::sync::Arc;

use http::{HeaderName, Method};
use proxy_filter::input::{
    DEFAULT_SCHEMA_SIZE, InputRules, JsonRules, JsonSchema, MAX_SCHEMA_DEPTH,
};

use super::Resolver;
use crate::config::defaults;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config, InputJson};
use crate::config::resolved::Input;
use crate::config::source::plain;
use crate::config::units::Size;

/// Fields that are there or not whatever the client sends: taken away as of one connection only,
/// or written anew.
const NOT_THE_CLIENTS: [&str; 14] = [
    "connection",
    "forwarded",
    "keep-alive",
    "proxy-connection",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];

impl Resolver<'_> {
    /// The rules; none where nothing is said.
    pub(super) fn input(&mut self, config: &Config) -> Option<Input> {
        let general = &config.filter.input;
        let path = KeyPath::of("filter.input");
        let all = self.input_rules(&path, &path, general);
        let mut routes = Vec::new();
        for (index, route) in config.routes.iter().enumerate() {
            let Some(own) = &route.input else { continue };
            let own_path = KeyPath::of("routes").index(index).key("input");
            // What is wrong is said where it stands.
            self.input_rules(&own_path, &own_path, own);
            let json_path = if own.json.is_some() { &own_path } else { &path };
            let whole = defaults::layered_input(own, general);
            let rules = self.silently(|own| own.input_rules(&own_path, json_path, &whole));
            routes.push((route.name.clone(), rules));
        }
        let said = !general.is_empty() || !routes.is_empty();
        said.then_some(Input { all, routes })
    }

    /// The rules of a table; its `json` stands at a path of its own.
    fn input_rules(&mut self, path: &KeyPath, json_path: &KeyPath, raw: &raw::Input) -> InputRules {
        let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let method = |text: &str| {
            Method::from_bytes(text.as_bytes()).map_err(|_| format!("`{text}` is no method"))
        };
        let field = |text: &str| {
            text.parse::<HeaderName>().map_err(|_| format!("`{text}` is no name of a field"))
        };
        let required_fields = raw.required_fields.as_deref().unwrap_or(&[]);
        let fields = path.key("required_fields");
        for (index, name) in required_fields.iter().enumerate() {
            if NOT_THE_CLIENTS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                let message = "says nothing of the client: the proxy takes this field away or writes it itself";
                self.warning(&fields.index(index), message);
            }
        }
        let methods = raw.methods.as_deref().unwrap_or(&[]);
        let types = raw.content_types.as_deref().unwrap_or(&[]);
        let json = raw.json.as_ref();
        let schema_path = json_path.key("json").key("schema");
        if json
            .is_some_and(|json| json.schema.is_some() && json_rules(json).depth > MAX_SCHEMA_DEPTH)
        {
            let message = format!(
                "with a schema, more than {MAX_SCHEMA_DEPTH} containers within one another are malformed"
            );
            self.warning(&json_path.key("json").key("depth"), message);
        }
        InputRules {
            methods: self.list(&path.key("methods"), methods, method),
            content_types: self.list(&path.key("content_types"), types, media_range),
            target_length: raw.target_length.map(length),
            parameters: raw.parameters.map(count),
            parameter_name_length: raw.parameter_name_length.map(length),
            parameter_value_length: raw.parameter_value_length.map(length),
            fields: raw.fields.map(count),
            field_length: raw.field_length.map(length),
            fields_size: raw.fields_size.map(length),
            required_fields: self.list(&fields, required_fields, field),
            required_parameters: raw.required_parameters.clone().unwrap_or_default(),
            content_size: raw.content_size.map(Size::bytes),
            utf8: raw.utf8.unwrap_or(false),
            json: json.map(json_rules),
            schema: json
                .and_then(|json| self.schema(&schema_path, json.schema.as_ref()?))
                .map(|schema| Arc::new(schema) as _),
            schema_size: json.and_then(|json| json.schema_size).map_or(DEFAULT_SCHEMA_SIZE, length),
            report: raw.mode == Some(raw::Mode::Report),
        }
    }

    fn schema(&mut self, path: &KeyPath, file: &str) -> Option<JsonSchema> {
        let file = self.origins.folder(path).join(file);
        let text = fs::read_to_string(&file)
            .map_err(|error| format!("cannot read {}: {}", file.display(), plain(&error)));
        let text = self.take(path, text)?;
        self.note_file(path, text.as_bytes());
        let schema = JsonSchema::compile(&text);
        self.take(path, schema.map_err(|error| format!("{}: {error}", file.display())))
    }
}

fn media_range(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((kind, sub)) if !kind.is_empty() && !sub.is_empty() && !text.contains(';') => {
            Ok(text.to_owned())
        }
        _ => Err(format!(
            "expected a media type such as `application/json` or `text/*`, found `{text}`"
        )),
    }
}

fn length(size: Size) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}

fn json_rules(raw: &InputJson) -> JsonRules {
    let default = JsonRules::default();
    JsonRules {
        depth: raw.depth.map_or(default.depth, |n| usize::try_from(n).unwrap_or(usize::MAX)),
        members: raw.members.map_or(default.members, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        string_length: raw.string_length.map_or(default.string_length, Size::bytes),
    }
}
