//! What requests may look like: for all, and for routes that say it otherwise.

use std::fs;
use std::sync::Arc;

use http::{HeaderName, Method};
use proxy_filter::input::{DEFAULT_SCHEMA_SIZE, InputRules, JsonRules, JsonSchema};

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config, InputJson};
use crate::config::resolved::Input;
use crate::config::source::plain;
use crate::config::units::Size;

impl Resolver<'_> {
    /// The rules; none where nothing is said.
    pub(super) fn input(&mut self, config: &Config) -> Option<Input> {
        let general = &config.filter.input;
        let path = KeyPath::of("filter.input");
        let all = self.input_rules(&path, general, &path, general);
        let mut routes = Vec::new();
        for (index, route) in config.routes.iter().enumerate() {
            let Some(own) = &route.input else { continue };
            let own_path = KeyPath::of("routes").index(index).key("input");
            routes.push((route.name.clone(), self.input_rules(&own_path, own, &path, general)));
        }
        let said = !general.is_empty() || !routes.is_empty();
        said.then_some(Input { all, routes })
    }

    /// The rules of a table over those of the general one.
    fn input_rules(
        &mut self,
        path: &KeyPath,
        own: &raw::Input,
        general_path: &KeyPath,
        general: &raw::Input,
    ) -> InputRules {
        let size = |own: Option<Size>, general: Option<Size>| own.or(general).map(length);
        let count = |own: Option<u64>, general: Option<u64>| {
            own.or(general).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
        };
        let method = |text: &str| {
            Method::from_bytes(text.as_bytes()).map_err(|_| format!("`{text}` is no method"))
        };
        let field = |text: &str| {
            text.parse::<HeaderName>().map_err(|_| format!("`{text}` is no name of a field"))
        };
        let media = |text: &str| match text.split_once('/') {
            Some((kind, sub)) if !kind.is_empty() && !sub.is_empty() && !text.contains(';') => {
                Ok(text.to_owned())
            }
            _ => Err(format!(
                "expected a media type such as `application/json` or `text/*`, found `{text}`"
            )),
        };
        // A key that is not the table's own was judged where it stands.
        let own_list = |list: &Option<Vec<String>>| list.is_some();
        macro_rules! list {
            ($key:ident, $read:expr) => {{
                let at = if own_list(&own.$key) { path } else { general_path };
                let items = own.$key.as_ref().or(general.$key.as_ref());
                let own = own_list(&own.$key) || std::ptr::eq(path, general_path);
                let before = self.found.len();
                let read = self.list(&at.key(stringify!($key)), items.map_or(&[], |v| v), $read);
                if !own {
                    self.found.truncate(before);
                }
                read
            }};
        }
        let methods = list!(methods, method);
        let content_types = list!(content_types, media);
        let required_fields = list!(required_fields, field);
        let required_parameters =
            list!(required_parameters, |text: &str| { Ok::<_, String>(text.to_owned()) });
        let (json_path, json) = match (&own.json, &general.json) {
            (Some(json), _) => (path, Some(json)),
            (None, json) => (general_path, json.as_ref()),
        };
        let inherited = own.json.is_none() && !std::ptr::eq(path, general_path);
        let before = self.found.len();
        let schema = json.and_then(|json| {
            self.schema(&json_path.key("json").key("schema"), json.schema.as_ref()?)
        });
        if inherited {
            self.found.truncate(before);
        }
        let limit = |size: Option<Size>, default| size.map_or(default, length);
        InputRules {
            methods,
            content_types,
            target_length: size(own.target_length, general.target_length),
            parameters: count(own.parameters, general.parameters),
            parameter_name_length: size(own.parameter_name_length, general.parameter_name_length),
            parameter_value_length: size(
                own.parameter_value_length,
                general.parameter_value_length,
            ),
            fields: count(own.fields, general.fields),
            field_length: size(own.field_length, general.field_length),
            fields_size: size(own.fields_size, general.fields_size),
            required_fields,
            required_parameters,
            utf8: own.utf8.or(general.utf8).unwrap_or(false),
            json: json.map(json_rules),
            schema: schema.map(|schema| Arc::new(schema) as _),
            schema_size: limit(json.and_then(|json| json.schema_size), DEFAULT_SCHEMA_SIZE),
        }
    }

    fn schema(&mut self, path: &KeyPath, file: &str) -> Option<JsonSchema> {
        let file = self.origins.folder(path).join(file);
        let text = fs::read_to_string(&file)
            .map_err(|error| format!("cannot read {}: {}", file.display(), plain(&error)));
        let text = self.take(path, text)?;
        let schema = JsonSchema::compile(&text);
        self.take(path, schema.map_err(|error| format!("{}: {error}", file.display())))
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
