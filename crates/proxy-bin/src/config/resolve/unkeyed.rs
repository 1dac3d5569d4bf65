//! What a cached route sends to its upstream that depends on the client and is not part of the
//! cache's key: one client's response would be stored for all.

use http::HeaderName;

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{Config, FieldEdits};
use crate::config::resolved::CachePolicy;
use crate::routes::fields::{Source, sources};

impl Resolver<'_> {
    /// Errors for the request fields of a cached route that tell of the client.
    pub(super) fn unkeyed(&mut self, config: &Config, index: usize, policy: &CachePolicy) {
        let route = &config.routes[index];
        let (table, edits) = match (&route.request_fields, &config.defaults.request_fields) {
            (Some(own), _) => (KeyPath::of("routes").index(index), own),
            (None, Some(default)) => (KeyPath::of("defaults"), default),
            (None, None) => return,
        };
        let path_is_keyed =
            route.rewrite.as_ref().is_none_or(|rewrite| rewrite.replace_path.is_none());
        let path = table.key("request_fields");
        for (kind, values) in [("set", &edits.set), ("add", &edits.add)] {
            for (name, text) in values {
                // The key is made of the fields that the upstream sees.
                if is_in(&policy.key_fields, name) {
                    continue;
                }
                let path = path.key(kind).key(name);
                for source in sources(text) {
                    self.judge_source(&path, name, &source, policy, edits, path_is_keyed);
                }
            }
        }
    }

    fn judge_source(
        &mut self,
        path: &KeyPath,
        name: &str,
        source: &Source,
        policy: &CachePolicy,
        edits: &FieldEdits,
        path_is_keyed: bool,
    ) {
        let what = match source {
            Source::Client => "the client's address".to_owned(),
            Source::Path if !path_is_keyed => "the path before `replace_path`".to_owned(),
            Source::Field(field) if !is_keyed(policy, edits, field) => {
                format!("the request's field `{field}`")
            }
            Source::RequestId => {
                let message = "tells the upstream a request's id, and what it answers is stored";
                if self.is_new(path, message) {
                    self.warning(path, message);
                }
                return;
            }
            Source::Path | Source::Field(_) | Source::Other => return,
        };
        // A field that passes as it came can be named itself: then its values are told apart
        // whoever sends them.
        let fix = match source {
            Source::Field(field) if !is_changed(edits, field) => format!("`{field}` or `{name}`"),
            _ => format!("`{name}`"),
        };
        let message = format!(
            "tells the upstream {what}, and what it answers would be stored for all clients; add \
             {fix} to `key.fields` of the cache, or say `cache = false` for the route"
        );
        if self.is_new(path, &message) {
            self.error(path, message);
        }
    }

    /// Whether it was not said yet: what stands in `[defaults]` is met for each route.
    fn is_new(&self, path: &KeyPath, message: &str) -> bool {
        !self.found.iter().any(|known| known.path == *path && known.message == message)
    }
}

/// Whether a field's value as the client sent it is part of the key.
fn is_keyed(policy: &CachePolicy, edits: &FieldEdits, field: &HeaderName) -> bool {
    *field == http::header::HOST || policy.key_fields.contains(field) && !is_changed(edits, field)
}

/// Whether the route changes a field before the key is made.
fn is_changed(edits: &FieldEdits, field: &HeaderName) -> bool {
    let mut names = edits.set.keys().chain(edits.add.keys()).chain(&edits.remove);
    names.any(|name| name.eq_ignore_ascii_case(field.as_str()))
}

fn is_in(fields: &[HeaderName], name: &str) -> bool {
    fields.iter().any(|field| field.as_str().eq_ignore_ascii_case(name))
}
