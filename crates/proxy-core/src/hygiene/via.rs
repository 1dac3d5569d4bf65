//! `Via` (RFC 9110 section 7.6.3): who has forwarded a message, and loops.

use http::header::VIA;
use http::{HeaderMap, HeaderValue, Version};

use crate::fields;

/// More hops than this are taken for a loop.
const MAX_HOPS: usize = 20;

#[derive(Clone, Debug)]
pub(super) struct Via {
    name: Box<str>,
    received_10: HeaderValue,
    received_11: HeaderValue,
    received_20: HeaderValue,
    received_30: HeaderValue,
}

/// Why a message goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loop {
    OwnName,
    TooManyHops,
}

impl Via {
    pub(super) fn new(name: &str) -> Self {
        let name: String = name
            .chars()
            .map(
                |c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '-' },
            )
            .collect();
        let value = |version| {
            HeaderValue::try_from(format!("{version} {name}"))
                .unwrap_or(HeaderValue::from_static("1.1 proxyd"))
        };
        Self {
            received_10: value("1.0"),
            received_11: value("1.1"),
            received_20: value("2.0"),
            received_30: value("3.0"),
            name: name.into(),
        }
    }

    /// Appends ourselves, with the version the message was received in.
    pub(super) fn append(&self, fields: &mut HeaderMap, version: Version) {
        let value = match version {
            Version::HTTP_10 | Version::HTTP_09 => &self.received_10,
            Version::HTTP_2 => &self.received_20,
            Version::HTTP_3 => &self.received_30,
            _ => &self.received_11,
        };
        fields::append_to_list(fields, VIA, value);
    }

    /// Whether the message has been here before, or everywhere.
    pub(super) fn find_loop(&self, fields: &HeaderMap) -> Option<Loop> {
        let mut hops = 0;
        for hop in fields::list(fields, &VIA) {
            hops += 1;
            let received_by = hop.split([' ', '\t']).filter(|part| !part.is_empty()).nth(1);
            if received_by.is_some_and(|name| name.eq_ignore_ascii_case(&self.name)) {
                return Some(Loop::OwnName);
            }
        }
        (hops > MAX_HOPS).then_some(Loop::TooManyHops)
    }
}
