//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): lists of strings
//! with parameters (RFC 9651), one member for each limit.
//!
//! `RateLimit-Policy: "per-client";q=200;w=2`: 200 requests, all of them again after 2 s.
//! `RateLimit: "per-client";r=150;t=1`: 150 are left, all are there again in 1 s.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use proxy_core::Exchange;

/// What a limit is.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// How the client stands.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The member of `RateLimit-Policy`, and the beginning of that of `RateLimit`.
#[derive(Clone, Debug)]
pub(crate) struct PolicyItem {
    policy: HeaderValue,
    name: Box<str>,
}

impl PolicyItem {
    pub(crate) fn new(id: &str, quota: u64, window: Duration) -> Self {
        let name = string(id);
        let text = format!("{name};q={quota};w={}", whole_seconds(window));
        let policy = HeaderValue::try_from(text);
        Self {
            policy: policy.unwrap_or_else(|_| HeaderValue::from_static("\"-\";q=0")),
            name: name.into(),
        }
    }
}

/// What a response tells of one limit.
#[derive(Clone, Debug)]
pub(crate) struct Advertised {
    policy: HeaderValue,
    standing: HeaderValue,
}

impl Advertised {
    pub(crate) fn new(item: &PolicyItem, left: u64, until: Duration) -> Self {
        let text = format!("{};r={left};t={}", item.name, whole_seconds(until));
        let standing = HeaderValue::try_from(text);
        Self {
            policy: item.policy.clone(),
            standing: standing.unwrap_or_else(|_| HeaderValue::from_static("\"-\";r=0")),
        }
    }

    pub(crate) fn append_to(self, fields: &mut HeaderMap) {
        fields.append(RATE_LIMIT_POLICY, self.policy);
        fields.append(RATE_LIMIT, self.standing);
    }

    /// Leaves it for the layer that writes the fields.
    pub(crate) fn leave_in(self, exchange: &Exchange) {
        let mut left = exchange.get::<Left>().unwrap_or_default();
        left.0.push(self);
        exchange.insert(left);
    }

    /// What was left for the layer that writes the fields.
    pub(crate) fn take_from(exchange: &Exchange) -> Vec<Self> {
        match exchange.get::<Left>() {
            Some(left) if !left.0.is_empty() => {
                exchange.insert(Left::default());
                left.0
            }
            _ => Vec::new(),
        }
    }
}

#[derive(Clone, Default)]
struct Left(Vec<Advertised>);

/// A string of RFC 9651 section 3.3.3; other characters than it takes become `-`.
fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push('-'),
        }
    }
    out.push('"');
    out
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_both_fields() {
        let item = PolicyItem::new("per-client", 200, Duration::from_secs(2));
        let mut fields = HeaderMap::new();
        Advertised::new(&item, 150, Duration::from_millis(500)).append_to(&mut fields);
        assert_eq!(fields[RATE_LIMIT_POLICY], "\"per-client\";q=200;w=2");
        assert_eq!(fields[RATE_LIMIT], "\"per-client\";r=150;t=1");
        let odd = PolicyItem::new("a\"b\\c\u{e9}", 1, Duration::from_millis(1));
        assert_eq!(odd.policy, "\"a\\\"b\\\\c-\";q=1;w=1");
    }
}
