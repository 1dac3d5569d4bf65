//! What became of the client's fields on the way.

use http::{HeaderMap, HeaderName, HeaderValue};

use proxy_core::AddressPrivacy;
use proxy_observe::REDACTED;

use super::answer::Sent;
use crate::config::resolved::Privacy;

/// Which of the client's fields are shown as they came.
pub(super) struct Shown<'a> {
    pub(super) privacy: &'a Privacy,
    /// The field that names the client's address.
    pub(super) source: &'a HeaderName,
}

impl Shown<'_> {
    fn hides(&self, name: &HeaderName) -> bool {
        let names_client = name == self.source
            || ["forwarded", "x-forwarded-for", "x-real-ip"].contains(&name.as_str());
        self.privacy.redaction.hides_field(name)
            || (names_client && self.privacy.log != AddressPrivacy::Full)
    }

    fn values(&self, fields: &HeaderMap, name: &HeaderName) -> Vec<String> {
        let hidden = self.hides(name).then(|| REDACTED.to_owned());
        let shown = |value| hidden.clone().unwrap_or_else(|| text(value));
        fields.get_all(name).iter().map(shown).collect()
    }
}

/// Compares the fields that the client sent with those that would be sent on.
pub(super) fn compare(client: &HeaderMap, sent: &HeaderMap, shown: &Shown<'_>, into: &mut Sent) {
    for name in client.keys() {
        let same = client.get_all(name) == sent.get_all(name);
        let (old, new) = (shown.values(client, name), after(shown, sent, name));
        if new.is_empty() {
            into.removed.extend(old.into_iter().map(|value| (name.to_string(), value)));
        } else if !same {
            into.changed.push((name.to_string(), old.join(", "), new.join(", ")));
        }
    }
    for name in sent.keys().filter(|name| !client.contains_key(*name)) {
        into.added
            .extend(after(shown, sent, name).into_iter().map(|value| (name.to_string(), value)));
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

/// What is sent says of the client what upstreams may see.
fn after(shown: &Shown<'_>, fields: &HeaderMap, name: &HeaderName) -> Vec<String> {
    if shown.privacy.redaction.hides_field(name) {
        return shown.values(fields, name);
    }
    fields.get_all(name).iter().map(text).collect()
}

fn text(value: &HeaderValue) -> String {
    value.as_bytes().escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'")
}
