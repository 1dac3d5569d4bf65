//! What rules keep of a CONNECT that they let pass, for the server name that its tunnel begins with.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::Rule;
use crate::asked::Asked;

/// A CONNECT that rules let pass: where to, and those of its fields that a rule looks at. It stands
/// in the exchange until the first bytes of the tunnel are judged.
#[derive(Clone, Debug)]
pub(crate) struct Connected(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    host: Box<str>,
    port: u16,
    fields: HeaderMap,
}

impl Connected {
    pub(super) fn leave(asked: &Asked<'_>, names: &[HeaderName]) {
        let Some(exchange) = asked.exchange() else { return };
        let mut fields = HeaderMap::new();
        for name in names {
            for value in asked.fields().get_all(name) {
                fields.append(name.clone(), value.clone());
            }
        }
        let kept = Kept { host: bare(asked.host()).into(), port: asked.port(), fields };
        drop(exchange.insert(Self(Arc::new(kept))));
    }

    /// Whether this is what the CONNECT asked for: it has been judged.
    pub(crate) fn is_for(&self, host: &str, port: u16) -> bool {
        self.0.port == port && self.0.host.eq_ignore_ascii_case(bare(host))
    }

    /// The fields that rules look at.
    pub(crate) fn fields(&self) -> &HeaderMap {
        &self.0.fields
    }
}

fn bare(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// The fields that rules look at, each once.
pub(super) fn fields_of(rules: &[Rule]) -> Box<[HeaderName]> {
    let named = rules.iter().flat_map(|rule| rule.conditions.fields.iter());
    let mut names: Vec<HeaderName> = named.map(|(name, _)| name.clone()).collect();
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names.into()
}
