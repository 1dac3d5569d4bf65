//! What became of the client's fields on the way.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::answer::Sent;

/// Compares the fields that the client sent with those that would be sent on.
pub(super) fn compare(client: &HeaderMap, sent: &HeaderMap, into: &mut Sent) {
    for name in client.keys() {
        let (old, new) = (values(client, name), values(sent, name));
        if new.is_empty() {
            into.removed.extend(old.into_iter().map(|value| (name.to_string(), value)));
        } else if old != new {
            into.changed.push((name.to_string(), old.join(", "), new.join(", ")));
        }
    }
    for name in sent.keys().filter(|name| !client.contains_key(*name)) {
        into.added.extend(values(sent, name).into_iter().map(|value| (name.to_string(), value)));
    }
    for list in [&mut into.added, &mut into.removed] {
        list.sort();
    }
    into.changed.sort();
}

/// All fields, in order.
pub(super) fn list(fields: &HeaderMap) -> Vec<(String, String)> {
    let all = fields.iter().map(|(name, value)| (name.to_string(), text(value)));
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

fn values(fields: &HeaderMap, name: &HeaderName) -> Vec<String> {
    fields.get_all(name).iter().map(text).collect()
}

fn text(value: &HeaderValue) -> String {
    value.as_bytes().escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'")
}
